/* Signs and checks a device's proof of its key. */
#include "consent/device.h"

#include "base/buf.h"

static void text_of(struct buf *out, const char *purpose, const char *grant, int64_t time_ms, const char *binding)
{
    buf_printf(out, "ownhouse-device-v1\n%s\n%s\n%lld\n%s\n", purpose, grant, (long long)time_ms, binding);
}

void device_sign(const struct signing_key *key, const char *purpose, const char *grant, int64_t time_ms,
                 const char *binding, char ret[DEVICE_SIGNATURE_SIZE])
{
    autobuf struct buf text = BUF_INIT;
    unsigned char raw[ED25519_SIGNATURE_SIZE];
    text_of(&text, purpose, grant, time_ms, binding);
    signing_key_sign(key, text.data, text.len, raw);
    hex_encode(raw, sizeof(raw), ret);
}

bool device_proves(const unsigned char key[ED25519_PUBLIC_SIZE], const char *purpose, const char *grant,
                   int64_t time_ms, const char *binding, const char *signature)
{
    autobuf struct buf text = BUF_INIT;
    unsigned char raw[ED25519_SIGNATURE_SIZE];
    if (strlen(signature) != DEVICE_SIGNATURE_SIZE - 1 || hex_decode(signature, raw, sizeof(raw)) < 0)
        return false;
    text_of(&text, purpose, grant, time_ms, binding);
    return signature_valid(key, text.data, text.len, raw);
}
