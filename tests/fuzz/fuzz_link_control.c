/* What an agent may send the control plane: any bytes, on any kind of connection, must be taken or refused with a
 * sentence. The first byte chooses the kind and state; the rest is the stream. */
#include "control/link/session.h"
#include "net/link_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct control_session *s, const struct control_action *a)
{
    bool open = s->state == CONTROL_OPEN;
    if (a->type == CONTROL_OBSERVED && (!a->observed || s->kind != CONTROL_LINKED || !open))
        abort();
    if (a->type == CONTROL_ENROL && (s->kind != CONTROL_ENROLLING || strlen(a->token) != 64))
        abort();
    if (a->type == CONTROL_RENEW && (!open || s->kind == CONTROL_ENROLLING))
        abort();
    json_decref(a->observed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct link_msg_reader reader;
    struct control_session s;
    struct control_action a;
    int64_t now = 0;
    if (size < 1)
        return 0;
    control_session_init(&s, data[0] % 4, 0);
    if (data[0] & 8 && s.kind != CONTROL_ENROLLING)
        s.state = CONTROL_OPEN;
    data++, size--;
    link_msg_reader_init(&reader, control_session_max(&s));
    for (;;) {
        autojson json_t *message = NULL;
        struct err err = ERR_INIT;
        reader.max = control_session_max(&s);
        int r = link_msg_read(&reader, &data, &size, &message, &err);
        if (r < 0 && !err.message[0])
            abort();
        if (r <= 0)
            break;
        r = control_session_take(&s, message, now += 10, &a, &err);
        if (r < 0 && (!err.message[0] || s.state != CONTROL_ENDED))
            abort();
        if (r < 0)
            break;
        check(&s, &a);
        control_session_welcomed(&s);
    }
    link_msg_reader_free(&reader);
    return 0;
}
