/* base/ask and base/unix_socket: answers find their questions, limits hold on both sides, refusals keep their words. */
#include "../test.h"

#include "base/ask.h"
#include "base/mem.h"
#include "base/unix_socket.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MESSAGE_MAX 200

static const struct ask_peer peer = {"clerk", MESSAGE_MAX, 20000};

static int decide(void *user, const json_t *q, json_t *answer, struct err *err)
{
    int *asked = user;
    const char *op = NULL;
    (*asked)++;
    int r = js_string(q, "", "op", 20, &op, err);
    if (r == 0 && !strcmp(op, "no"))
        r = err_set(err, -EPERM, "never on a Sunday");
    json_object_set_new(answer, "said", json_string(op ? op : ""));
    return r;
}

struct pair {
    int mine, theirs, asked;
    int questions; /* that the clerk takes before it goes */
    pthread_t thread;
};

static void *clerk(void *user)
{
    struct pair *p = user;
    for (int i = 0; i < p->questions; i++) {
        struct err err = ERR_INIT;
        fd_set set;
        FD_ZERO(&set);
        FD_SET(p->theirs, &set);
        select(p->theirs + 1, &set, NULL, NULL, NULL);
        (void)!ask_serve(MESSAGE_MAX, p->theirs, decide, &p->asked, &err);
    }
    return NULL;
}

static void open_pair(struct pair *p, int questions)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    *p = (struct pair){.mine = fds[0], .theirs = fds[1], .questions = questions};
    if (questions)
        assert_int_equal(pthread_create(&p->thread, NULL, clerk, p), 0);
}

static void close_pair(struct pair *p)
{
    if (p->questions)
        pthread_join(p->thread, NULL);
    close(p->mine);
    close(p->theirs);
}

static void an_answer_finds_its_question(void **state OH_UNUSED)
{
    struct pair p;
    struct err err = ERR_INIT;
    autojson json_t *q = json_pack("{ss}", "op", "hello"), *answer = NULL;
    open_pair(&p, 1);
    /* What an earlier process asked, and somebody's nonsense, lie before it. */
    const char *old[] = {"{\"id\":7,\"said\":\"old\"}", "{\"said\":\"nobody\"}", "[]"};
    for (size_t i = 0; i < ARRAY_SIZE(old); i++)
        assert_true(send(p.theirs, old[i], strlen(old[i]), 0) > 0);
    assert_int_equal(ask(&peer, p.mine, q, &answer, &err), 0);
    assert_string_equal(json_string_value(json_object_get(answer, "said")), "hello");
    close_pair(&p);
}

static void a_refusal_keeps_its_words(void **state OH_UNUSED)
{
    struct pair p;
    struct err err = ERR_INIT;
    autojson json_t *q = json_pack("{ss}", "op", "no"), *answer = NULL;
    open_pair(&p, 1);
    assert_int_equal(ask(&peer, p.mine, q, &answer, &err), -EACCES);
    assert_string_equal(err.message, "the clerk refused: never on a Sunday");
    assert_null(answer);
    close_pair(&p);
}

static void too_long_is_refused_by_both(void **state OH_UNUSED)
{
    struct pair p;
    struct err err = ERR_INIT;
    char text[MESSAGE_MAX + 100];
    memset(text, ' ', sizeof(text));
    memcpy(text, "{\"op\":\"hello\",\"id\":1}", 21);
    autojson json_t *q = json_pack("{ss#}", "op", text + 21, (size_t)MESSAGE_MAX), *answer = NULL;
    open_pair(&p, 0);
    assert_int_equal(ask(&peer, p.mine, q, &answer, &err), -EMSGSIZE);
    err = ERR_INIT;
    assert_true(send(p.mine, text, sizeof(text), 0) > 0);
    assert_int_equal(ask_serve(MESSAGE_MAX, p.theirs, decide, &p.asked, &err), -EMSGSIZE);
    assert_int_equal(p.asked, 0);
    close_pair(&p);
}

static void nobody_to_ask_says_so(void **state OH_UNUSED)
{
    static const struct ask_peer quick = {"clerk", MESSAGE_MAX, 1};
    struct pair p;
    struct err err = ERR_INIT;
    autojson json_t *q = json_pack("{ss}", "op", "hello"), *answer = NULL;
    assert_int_equal(ask(&peer, -1, q, &answer, &err), -ENOTCONN);
    assert_int_equal(ask(&peer, -1, NULL, &answer, NULL), -EINVAL);
    open_pair(&p, 0);
    err = ERR_INIT;
    assert_int_equal(ask(&quick, p.mine, q, &answer, &err), -ETIMEDOUT);
    close(p.theirs);
    p.theirs = dup(p.mine);
    err = ERR_INIT;
    int r = ask(&peer, p.mine, q, &answer, &err);
    assert_true(r == -EPIPE || r == -ECONNRESET);
    close_pair(&p);
}

static void what_is_told_is_not_answered(void **state OH_UNUSED)
{
    struct pair p;
    char c;
    autojson json_t *q = json_pack("{ss}", "op", "hello");
    open_pair(&p, 0);
    assert_int_equal(ask_tell(&peer, p.mine, q, NULL), 0);
    assert_int_equal(ask_serve(MESSAGE_MAX, p.theirs, decide, &p.asked, NULL), 0);
    assert_int_equal(p.asked, 1);
    assert_int_equal(recv(p.mine, &c, 1, MSG_DONTWAIT), -1);
    close_pair(&p);
}

static void only_our_user_may_dial(void **state OH_UNUSED)
{
    char dir[] = "/tmp/oh-ask-XXXXXX", path[200];
    struct err err = ERR_INIT;
    struct stat st;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/s", dir);
    assert_int_equal(unix_connect(path, SOCK_STREAM, &err), -ENOENT);
    for (int i = 0; i < 2; i++) { /* again: over what a crash left */
        int fd = unix_listen(path, SOCK_STREAM, 1, NULL);
        assert_true(fd >= 0);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        int to = unix_connect(path, SOCK_STREAM, NULL);
        assert_true(to >= 0);
        close(to);
        close(fd);
    }
    unlink(path);
    rmdir(dir);
    memset(path, 'x', 150);
    path[150] = 0;
    err = ERR_INIT;
    assert_int_equal(unix_listen(path, SOCK_STREAM, 1, &err), -ENAMETOOLONG);
    assert_non_null(strstr(err.message, "at most 107 bytes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_finds_its_question), cmocka_unit_test(a_refusal_keeps_its_words),
        cmocka_unit_test(too_long_is_refused_by_both),  cmocka_unit_test(nobody_to_ask_says_so),
        cmocka_unit_test(what_is_told_is_not_answered), cmocka_unit_test(only_our_user_may_dial),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
