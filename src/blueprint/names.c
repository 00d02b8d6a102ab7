/* Decides which labels, domains, user names and networks are plain enough to be written into other programs' files. */
#include "blueprint/names.h"

#include <arpa/inet.h>

static bool label_valid(const char *s, size_t len)
{
    if (len == 0 || len > NAMES_LABEL_MAX || s[0] == '-' || s[len - 1] == '-')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') || s[i] == '-'))
            return false;
    return true;
}

bool names_label_valid(const char *s)
{
    return label_valid(s, strlen(s));
}

bool names_domain_valid(const char *s)
{
    if (strlen(s) > NAMES_DOMAIN_MAX)
        return false;
    for (;;) {
        size_t len = strcspn(s, ".");
        if (!label_valid(s, len))
            return false;
        if (!s[len])
            return true;
        s += len + 1;
    }
}

bool names_user_valid(const char *s)
{
    static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    size_t len = strlen(s);
    if (len == 0 || len > NAMES_USER_MAX || !strchr(first, s[0]) || !strncmp(s, "ownhouse_", 9))
        return false;
    return strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}

bool names_address_valid(const char *s)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, s, bytes) == 1 || inet_pton(AF_INET6, s, bytes) == 1;
}

bool names_network_valid(const char *s)
{
    char address[INET6_ADDRSTRLEN];
    size_t len = strcspn(s, "/");
    if (len >= sizeof(address))
        return false;
    memcpy(address, s, len);
    address[len] = '\0';
    if (!names_address_valid(address))
        return false;
    if (!s[len])
        return true;
    const char *prefix = s + len + 1;
    size_t digits = strlen(prefix);
    if (digits == 0 || digits > 3 || strspn(prefix, "0123456789") != digits || (prefix[0] == '0' && digits > 1))
        return false;
    return atoi(prefix) <= (strchr(address, ':') ? 128 : 32);
}
