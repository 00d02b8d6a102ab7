/* Carries new activity rows from the store to the signer, which seals them. */
#include "control/controller/sealing.h"

#include "control/signer.h"
#include "store/activity_rows.h"

#define BATCHES_MAX 16 /* of one look, so that documents do not wait behind a backlog */

int sealing_pass(struct sealing *s, struct store *store, int signer_fd, struct err *err)
{
    int r = 0;
    for (int i = 0; r == 0 && i < BATCHES_MAX; i++) {
        autojson json_t *rows = NULL;
        if (s->last < 0)
            rows = json_array(); /* asks where it stands */
        else
            r = activity_rows(store, s->last, SIGNER_SEAL_ROWS, &rows, err);
        bool asking = s->last < 0;
        if (r == 0 && !asking && s->settled && !json_array_size(rows))
            break;
        if (r == 0)
            r = signer_seal(signer_fd, rows, &s->last, &s->settled, err);
        if (r == 0 && !asking && json_array_size(rows) < SIGNER_SEAL_ROWS)
            break;
    }
    if (r < 0)
        s->last = -1;
    return r;
}
