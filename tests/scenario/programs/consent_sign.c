/* Signs a request as a customer's approver would: KEY REQUEST [deny] -> the approval on standard output. For tests. */
#include "base/clock.h"
#include "base/fs.h"
#include "consent/request.h"

int main(int argc, char **argv)
{
    autofree char *text = NULL;
    autokey struct signing_key *key = NULL;
    autorequest struct consent_request q = {0};
    autojson json_t *approval = NULL;
    struct err err = ERR_INIT;
    size_t len = 0;
    if (argc < 3)
        return 2;
    int r = signing_key_load(argv[1], &key, &err);
    if (r == 0)
        r = fs_read(argv[2], REQUEST_MAX_BYTES, &text, &len, &err);
    if (r == 0)
        r = request_parse(text, len, &q, &err);
    if (r == 0)
        r = approval_sign(key, &q, argc > 3, clock_wall_ms(&clock_system), q.not_after_ms, NULL, 0, &approval, &err);
    if (r < 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    autofree char *out = js_text(approval);
    puts(out);
    return 0;
}
