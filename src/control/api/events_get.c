/* The number of the last event, for clients that ask instead of listening; http.c opens the streams themselves. */
#include "control/api/events.h"
#include "control/api/handlers.h"

int events_get(struct api_request *q, struct err *err)
{
    q->result = json_pack("{sI}", "sequence", (json_int_t)events_sequence(q->api->events));
    return 0;
}
