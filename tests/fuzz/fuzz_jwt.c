/* ID tokens and key sets of a hostile provider: "TOKEN\nKEYS". Whatever comes, nothing unsigned is taken; the corpus
 * has no private key, so that only its own one good token can be. */
#include "base/mem.h"
#include "control/outward/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct jwt_wanted wanted = {"https://id.example", "client", "nonce", 1800000000000LL};
    autofree char *text = mem_strndup((const char *)data, size);
    autojson json_t *keys = NULL, *claims = NULL;
    struct err err = ERR_INIT;
    char *second = strchr(text, '\n');
    if (!second)
        return 0;
    *second++ = 0;
    if (js_parse(second, strlen(second), JWT_KEYS_MAX, &keys, NULL) < 0)
        return 0;
    int r = jwt_verify(text, keys, &wanted, &claims, &err);
    if (r == 0 ? !json_is_string(json_object_get(claims, "sub")) : claims || !*err.message)
        abort();
    return 0;
}
