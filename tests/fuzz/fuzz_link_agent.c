/* What a control plane may send an agent: any bytes, in any state, must be taken or refused with a sentence. The first
 * byte chooses the state; the rest is the stream. */
#include "agent/link/session.h"
#include "net/link_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct link_msg_reader reader;
    struct agent_session s;
    struct agent_action a;
    if (size < 1)
        return 0;
    agent_session_init(&s, data[0] & 1);
    if (data[0] & 2)
        s.state = data[0] & 4 ? AGENT_RENEW_ONLY : AGENT_OPEN;
    if (data[0] & 8)
        (void)!agent_session_renew(&s);
    data++, size--;
    link_msg_reader_init(&reader, agent_session_max(&s));
    for (;;) {
        autojson json_t *message = NULL;
        struct err err = ERR_INIT;
        reader.max = agent_session_max(&s);
        int r = link_msg_read(&reader, &data, &size, &message, &err);
        if (r < 0 && !err.message[0])
            abort();
        if (r <= 0)
            break;
        r = agent_session_take(&s, message, &a, &err);
        if (r < 0 && (r != -EPROTO || !err.message[0]))
            abort();
        if (r < 0)
            break;
        if (a.type == AGENT_DESIRED && (s.state != AGENT_OPEN || a.version < 1 || strlen(a.signature) != 128))
            abort();
    }
    link_msg_reader_free(&reader);
    return 0;
}
