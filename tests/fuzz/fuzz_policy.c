/* Policies: what is taken never asks for more signatures than there are keys, and gives one digest. */
#include "consent/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    autopolicy struct policy *p = NULL, *again = NULL;
    struct err err = ERR_INIT;
    if (policy_parse((const char *)data, size, &p, &err) < 0) {
        if (!*err.message)
            abort();
        return 0;
    }
    for (size_t i = 0; operations[i].name; i++) {
        char why[200];
        if (!p->needs[i].denied && p->needs[i].vendor > (int)p->n_vendors)
            abort();
        (void)policy_may_now(p, &operations[i], 1795000000000, why);
    }
    if (policy_parse(p->canonical, strlen(p->canonical), &again, NULL) < 0 || strcmp(p->digest, again->digest))
        abort();
    return 0;
}
