/* The desired document: whatever is accepted holds only names that are safe to write into other programs' files. */
#include "blueprint/desired.h"
#include "blueprint/names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    autodesired struct desired *d = NULL;
    struct err err = ERR_INIT;
    if (desired_parse((const char *)data, size, &d, &err) < 0) {
        if (!*err.message)
            abort();
        return 0;
    }
    if (!names_domain_valid(d->domain) || d->version < 1)
        abort();
    for (size_t i = 0; i < d->n_services; i++) {
        const struct desired_service *s = &d->services[i];
        if (!names_label_valid(s->slug) || !uuid_valid(s->id) || s->ordinal < 1 || s->ordinal > DESIRED_MAX_SERVICES)
            abort();
        for (size_t k = 0; k < s->n_users; k++)
            if (!names_user_valid(s->users[k].name) || strlen(s->users[k].sha256) != 64)
                abort();
        for (size_t k = 0; k < s->n_ip_access_list; k++)
            if (!names_network_valid(s->ip_access_list[k]))
                abort();
    }
    return 0;
}
