/* Asking the signer over a socket that outlives the asker. */
#include "control/signer.h"

#include "../test.h"
#include "base/js.h"

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define INFRA "00000000-0000-4000-8000-000000000002"
#define DIGEST "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* Reads one question, waits until `asker` (0: nobody) is dead, and answers with 128 times `letter`. */
static void answer_one(int fd, pid_t asker, char letter)
{
    char text[4096], signature[129] = "";
    autojson json_t *q = NULL, *answer = NULL;
    ssize_t n = recv(fd, text, sizeof(text), 0);
    assert_true(n > 0);
    if (asker) {
        kill(asker, SIGKILL);
        assert_int_equal(waitpid(asker, NULL, 0), asker);
    }
    memset(signature, letter, 128);
    assert_int_equal(js_parse(text, (size_t)n, sizeof(text), &q, NULL), 0);
    answer = json_pack("{s:O,s:s}", "id", json_object_get(q, "id"), "signature", signature);
    autofree char *out = js_text(answer);
    assert_int_equal(send(fd, out, strlen(out), 0), (ssize_t)strlen(out));
}

static void *answer_b(void *fd)
{
    answer_one(*(int *)fd, 0, 'b');
    return NULL;
}

/* The parent keeps the socket over a role's restart: the answer to a question of the life before lies there still, and
 * must not be taken for the answer to the first question of the next. */
static void an_answer_to_a_killed_asker_is_not_the_next_ones(void **state)
{
    int pair[2];
    pthread_t signer;
    char signature[129] = "";
    struct err err = ERR_INIT;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    pid_t before = fork();
    assert_true(before >= 0);
    if (before == 0) {
        (void)!signer_desired(pair[0], INFRA, 3, DIGEST, signature, NULL);
        _exit(0);
    }
    answer_one(pair[1], before, 'a');
    assert_int_equal(pthread_create(&signer, NULL, answer_b, &pair[1]), 0);
    assert_int_equal(signer_desired(pair[0], INFRA, 3, DIGEST, signature, &err), 0);
    pthread_join(signer, NULL);
    assert_int_equal(strspn(signature, "b"), 128);
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_answer_to_a_killed_asker_is_not_the_next_ones)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
