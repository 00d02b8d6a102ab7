/* Requests, approvals and pre-approvals: nothing is taken whose signature does not verify, and no text of a request
 * reaches a terminal with control characters. */
#include "consent/consent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    autojson json_t *o = NULL;
    autorequest struct consent_request q = {0};
    autobuf struct buf words = BUF_INIT;
    struct approval a;
    struct preapproval p;
    if (js_parse((const char *)data, size, REQUEST_MAX_BYTES, &o, NULL) < 0)
        return 0;
    if (approval_from_json(o, &a, NULL) == 0 && (a.n_seen > APPROVAL_MAX_SEEN || strlen(a.digest) != 64))
        abort();
    if (preapproval_from_json(o, &p, NULL) == 0 && p.vendor_signatures > (int)p.n_vendors)
        abort();
    if (request_from_json(o, &q, NULL) < 0)
        return 0;
    request_describe(&q, &words);
    for (size_t i = 0; i < words.len; i++)
        if ((unsigned char)words.data[i] < 0x20 && words.data[i] != '\n')
            abort();
    return 0;
}
