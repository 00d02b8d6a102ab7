/* Gives a replica that has just started the Replicated databases that another has. Pure.
 *
 * The tables of a Replicated database come by themselves, so that an added replica gets the tables that way: the agent
 * makes no table and changes none. One database after the other, in the order of names, is read at a replica that has
 * more tables and made at the new one, with its id (CREATE DATABASE IF NOT EXISTS: what is there stays as it is).
 * Databases of other engines are the owner's to make (ON CLUSTER reaches the replicas that are there).
 *
 * Only within SCHEMA_NEW_MS after it started: a database that somebody drops at one replica later is not brought back.
 * Nothing is remembered: as long as it lacks tables, all is made once more with each of its answers. */
#pragma once

#include "agent/operator/replicas.h"
#include "base/buf.h"
#include "base/mem.h"

#define SCHEMA_NEW_MS 900000
#define SCHEMA_TEXT_MAX 600

/* Whether replica k, which started age_ms ago, lacks tables; *ret_from: who has the most. */
bool schema_lacks(const struct replica_view *v, int k, int64_t age_ms, int *ret_from);

struct schema_turn {
    bool done;
    bool makes; /* `text` is to be made at the new one; else: what follows it is asked for at the other */
    char text[SCHEMA_TEXT_MAX]; /* a definition as the statement "next-database" answers it; "": before the first */
};
/* What is to be said next (appended). Not when it is done. */
void schema_statement(const struct schema_turn *t, struct buf *out);
/* The answer: of "next-database" a definition, or "-" for none left; of "make-database" any text. A definition of
 * another form is passed over. */
void schema_heard(struct schema_turn *t, const char *answer);
/* Whether it is `NAME` UUID 'ID' ENGINE = Replicated('..', '..', '..') and no more: nothing else is said to another
 * engine. */
bool schema_is_definition(const char *text);
