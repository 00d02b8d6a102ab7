/* The text formats that schemas may name. */
#include "base/clock.h"
#include "base/ip_list.h"
#include "base/keys.h"
#include "blueprint/names.h"
#include "control/api/schema_internal.h"

#include <arpa/inet.h>

static bool date_time(const char *text)
{
    int64_t ms;
    return clock_iso_parse(text, &ms) == 0;
}

static bool date(const char *text)
{
    char whole[40];
    if (strlen(text) != 10)
        return false;
    snprintf(whole, sizeof(whole), "%sT00:00:00Z", text);
    return date_time(whole);
}

static bool date_or_time(const char *text)
{
    return date(text) || date_time(text);
}

/* One @ with something sensible on both sides; whether it exists only a letter can tell. */
static bool email(const char *text)
{
    const char *at = strchr(text, '@');
    size_t len = strlen(text);
    if (!at || at == text || strchr(at + 1, '@') || len > 254 || !strchr(at + 1, '.') || text[len - 1] == '.')
        return false;
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        if (*p <= ' ' || *p == 0x7f || strchr("<>()[],;:\\\"", *p))
            return false;
    return at[1] != '.';
}

static bool boolean(const char *text)
{
    return !strcmp(text, "true") || !strcmp(text, "false");
}

/* "a.b.c.d<separator>N" with N in min..max, no sign and no leading zero. */
static bool address_and(const char *text, char separator, long min, long max, uint32_t *ret_address, long *ret_number)
{
    char address[INET_ADDRSTRLEN];
    struct in_addr in;
    const char *mark = strchr(text, separator);
    if (!mark || (size_t)(mark - text) >= sizeof(address))
        return false;
    memcpy(address, text, (size_t)(mark - text));
    address[mark - text] = 0;
    size_t digits = strspn(mark + 1, "0123456789");
    if (inet_pton(AF_INET, address, &in) != 1 || !digits || digits > 5 || mark[1 + digits] ||
        (mark[1] == '0' && digits > 1))
        return false;
    *ret_number = atol(mark + 1);
    *ret_address = ntohl(in.s_addr);
    return *ret_number >= min && *ret_number <= max;
}

static bool is_private(uint32_t a, long prefix)
{
    return (a >> 24 == 10 && prefix >= 8) || (a >> 20 == 0xac1 && prefix >= 12) ||
           (a >> 16 == 0xc0a8 && prefix >= 16) || (a >> 22 == 0x191 && prefix >= 10); /* 100.64.0.0/10 */
}

static bool cidr_block(const char *text)
{
    uint32_t address;
    long prefix;
    return address_and(text, '/', 8, 29, &address, &prefix) && is_private(address, prefix) &&
           (address & (0xffffffffu >> prefix)) == 0;
}

static bool ipv4_port(const char *text)
{
    uint32_t address;
    long port;
    return address_and(text, ':', 1, 65535, &address, &port);
}

const struct schema_format schema_formats[] = {
    {"uuid", uuid_valid, "must be a UUID"},
    {"date-time", date_time, "must be a date and time such as 2026-11-22T10:00:00Z"},
    {"date-or-time", date_or_time,
     "must be a date such as 2026-11-22, or a date and time such as 2026-11-22T10:00:00Z"},
    {"date", date, "must be a date such as 2026-11-22"},
    {"email", email, "must be an e-mail address"},
    {"boolean", boolean, "must be true or false"},
    {"ip-source", ip_source_valid, "must be an IP address, a network such as 10.0.0.0/8, or anywhere"},
    {"cidr-block", cidr_block,
     "must be a private IPv4 network such as 10.77.0.0/16, /8 to /29, without bits beyond the prefix"},
    {"dns-domain", names_domain_valid, "must be a DNS domain in lower case"},
    {"ipv4-port", ipv4_port, "must be an IPv4 address and a port such as 10.0.0.1:443"},
    {0},
};
