/* Signed notes (C2SP signed-note), checkpoints (C2SP tlog-checkpoint) and cosignatures (C2SP tlog-cosignature).
 *
 * A checkpoint's text is three lines, `<origin>\n<size>\n<base64 of the root>\n`, then an empty line, then signature
 * lines `— <key name> <base64 of key id and signature>\n` (an em dash, U+2014). We write no extension lines and skip
 * those of others. Key ids are the first four bytes of SHA-256(<name> || "\n" || <type> || <public key>): type 1 is
 * Ed25519 over the text, type 4 a witness's Ed25519 over `cosignature/v1\ntime <seconds>\n` and the text, the eight
 * bytes of the time standing before the signature. Pure; at most NOTE_MAX bytes. */
#pragma once

#include "base/buf.h"
#include "ledger/merkle.h"

#define NOTE_MAX KIB(8)
#define NOTE_NAME_MAX 200 /* bytes of a key's name; no blanks, no plus sign */
#define NOTE_SIGNATURES_MAX 16

struct checkpoint {
    char origin[NOTE_NAME_MAX + 1];
    uint64_t size; /* leaves */
    struct merkle_hash root;
};

enum note_key_type { NOTE_ED25519 = 1, NOTE_COSIGNATURE = 4 };

/* Who signs: as in `<name>+<key id, 8 hex digits>+<base64 of type and public key>`. */
struct note_verifier {
    char name[NOTE_NAME_MAX + 1];
    enum note_key_type type;
    unsigned char key[ED25519_PUBLIC_SIZE];
};

OH_MUST_CHECK int note_verifier_parse(const char *text, struct note_verifier *ret, struct err *err);
char *note_verifier_text(const struct note_verifier *v); /* free() */

/* A note signed by `key` under v->name; v says the public key and the type. seconds: time of a cosignature, else 0.
 * Appends one signature line to `out`, which holds the text and its empty line. */
void note_sign(const struct note_verifier *v, const struct signing_key *key, const char *text, size_t len,
               int64_t seconds, struct buf *out);
/* A checkpoint's text, its empty line and the log's signature. The verifier's name is the origin. */
char *checkpoint_sign(const struct note_verifier *v, const struct signing_key *key, const struct checkpoint *c);

/* A checkpoint's note taken apart; all borrowed from the text. */
struct note {
    const char *text; /* the signed part, its last newline included */
    size_t text_len;
    struct checkpoint checkpoint;
    struct note_line {
        char name[NOTE_NAME_MAX + 1];
        unsigned char id[4];
        unsigned char signature[72];
        size_t len; /* of signature: 64, or 72 of a cosignature */
    } lines[NOTE_SIGNATURES_MAX];
    size_t n_lines;
};
/* -EINVAL with a sentence for anything malformed; signatures of unknown kinds are kept out, nothing is verified. */
OH_MUST_CHECK int note_parse(const char *text, size_t len, struct note *ret, struct err *err);
/* True if one line is a valid signature of v (all that carry v's name and id must be). ret_seconds (may be NULL): the
 * cosignature's time. */
OH_MUST_CHECK bool note_signed_by(const struct note *n, const struct note_verifier *v, int64_t *ret_seconds);
