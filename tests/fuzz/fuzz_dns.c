/* DNS messages and TSIG keys: what is read lies within the bytes given, and what reads as a value writes as the same.
 */
#include "base/mem.h"
#include "net/dns_tsig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(const char *name, unsigned type, const char *value)
{
    autobuf struct buf b = BUF_INIT;
    struct dns_record r;
    char again[DNS_VALUE_TEXT];
    size_t at = 0;
    if (dns_add_record(&b, name, type, DNS_IN, 1, value, NULL) < 0)
        return; /* a name with bytes that are not ours */
    if (dns_read_record((const unsigned char *)b.data, b.len, &at, &r) < 0 || at != b.len || strcmp(r.name, name) ||
        dns_read_value((const unsigned char *)b.data, b.len, &r, again) < 0 || strcmp(value, again))
        abort();
}

static void walk(const unsigned char *m, size_t len)
{
    struct dns_head h;
    struct dns_record r;
    char value[DNS_VALUE_TEXT];
    size_t at = 12;
    if (dns_read_head(m, len, &h) < 0)
        return;
    for (unsigned i = 0; i < h.counts[0]; i++) {
        uint16_t type;
        if (dns_read_question(m, len, &at, r.name, &type) < 0)
            return;
    }
    while (dns_read_record(m, len, &at, &r) == 0) {
        if (at > len || r.data + r.len != at || strlen(r.name) >= DNS_NAME_TEXT)
            abort();
        if (dns_read_value(m, len, &r, value) == 0)
            round_trip(r.name, r.type, value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] = "hmac-sha256:agent:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    autodnskey struct dns_key *key = NULL, *own = NULL;
    struct dns_tsig t = {0};
    if (size > DNS_MESSAGE_MAX)
        return 0;
    walk(data, size);
    if (dns_key_parse(text, strlen(text), &key, NULL) < 0)
        abort();
    /* Nobody here knows the key. */
    if (dns_tsig_check(&t, key, INT64_C(1795000000000), data, size, NULL) == 0)
        abort();
    t.answered = true;
    (void)!dns_tsig_check(&t, key, INT64_C(1795000000000), data, size, NULL);
    dns_tsig_clear(&t);
    (void)!dns_key_parse((const char *)data, size, &own, NULL);
    return 0;
}
