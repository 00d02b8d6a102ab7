/* Signed notes: whatever is taken has a sound checkpoint, and no stranger's key ever verifies one. */
#include "ledger/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct note n;
    struct err err = ERR_INIT;
    struct note_verifier v = {.name = "ownhouse/test", .type = NOTE_ED25519, .key = {1}};
    char text[400];
    if (note_parse((const char *)data, size, &n, &err) < 0) {
        if (!*err.message)
            abort();
    } else if (!*n.checkpoint.origin || n.text_len > size || n.n_lines > NOTE_SIGNATURES_MAX ||
               note_signed_by(&n, &v, NULL)) {
        abort();
    }
    if (size < sizeof(text)) {
        memcpy(text, data, size);
        text[size] = '\0';
        if (note_verifier_parse(text, &v, NULL) == 0) {
            struct note_verifier again;
            autofree char *back = note_verifier_text(&v);
            if (note_verifier_parse(back, &again, NULL) < 0 || memcmp(again.key, v.key, sizeof(v.key)))
                abort();
        }
    }
    return 0;
}
