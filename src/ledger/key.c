/* The key that a ledger is signed with, and the name that it gives. */
#include "ledger/ledger.h"

#include "base/fs.h"
#include "base/mem.h"

int ledger_key(const char *dir, const char *kind, char ret_origin[LEDGER_ORIGIN_SIZE], struct signing_key **ret,
               struct err *err)
{
    autofree char *path = mem_printf("%s/key.pem", dir), *verifier = mem_printf("%s/verifier", dir);
    struct note_verifier v = {.type = NOTE_ED25519};
    autokey struct signing_key *key = NULL;
    char digest[65];
    int r = fs_mkdirs(dir, 0700, err);
    if (r == 0)
        r = signing_key_keep(path, &key, err);
    if (r < 0)
        return r;
    signing_key_public(key, v.key);
    sha256_hex(v.key, sizeof(v.key), digest);
    snprintf(v.name, sizeof(v.name), "ownhouse/%s/%.16s", kind, digest);
    autofree char *text = note_verifier_text(&v), *line = mem_printf("%s\n", text);
    if (!fs_exists(verifier))
        r = fs_write_atomic(verifier, line, strlen(line), 0644, err);
    if (r < 0)
        return r;
    snprintf(ret_origin, LEDGER_ORIGIN_SIZE, "%s", v.name);
    *ret = TAKE_PTR(key);
    return 0;
}
