/* Another record of activities under the same key, for tests: what somebody could make who holds all of the control
 * plane. */
#include "base/mem.h"
#include "ledger/ledger.h"

/* KEY FOLDER LEAVES: a ledger of so many leaves, published in FOLDER. */
int main(int argc, char **argv)
{
    autokey struct signing_key *key = NULL;
    struct ledger *l = NULL;
    struct err err = ERR_INIT;
    unsigned char public[ED25519_PUBLIC_SIZE];
    char digest[65], origin[64];
    if (argc != 4)
        return 2;
    autofree char *log = mem_printf("%s.log", argv[2]);
    int r = signing_key_load(argv[1], &key, &err);
    if (r == 0) {
        signing_key_public(key, public);
        sha256_hex(public, sizeof(public), digest);
        snprintf(origin, sizeof(origin), "ownhouse/activities/%.16s", digest);
        r = ledger_open(&(struct ledger_config){log, origin, key, &clock_system}, &l, &err);
    }
    for (long i = 0; r == 0 && i < atol(argv[3]); i++) {
        autojson json_t *body = json_pack("{sI sI s[]}", "first", (json_int_t)i + 1, "last", (json_int_t)i + 1, "rows");
        r = ledger_append(l, "activities", body, NULL, &err);
    }
    if (r == 0)
        r = ledger_checkpoint(l, &err);
    if (r == 0)
        r = ledger_publish(l, argv[2], &err);
    if (r < 0)
        fprintf(stderr, "%s\n", err.message);
    ledger_close(l);
    return r < 0;
}
