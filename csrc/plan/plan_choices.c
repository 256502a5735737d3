/* SPDX-License-Identifier: Apache-2.0 */
/* The choices of a model: chains by key. Entries stay as they are and where they are. */
#include <pthread.h>
#include <string.h>
#include "plan/plan_tune.h"

enum { CHOICE_SLOTS = 256 };

typedef struct entry {
    struct entry *next;
    pi_choice choice;
    const char *text;
} entry;

struct pi_choices {
    pi_heap *heap;
    pi_arena arena;
    size_t made, kept; /* atomic */
    uint64_t spent;    /* atomic */
    pthread_mutex_t lock;
    entry *slot[CHOICE_SLOTS];
};

pi_choices *pi_choices_new(pi_heap *heap, pi_error *err)
{
    pi_choices *c = pi_calloc(heap, 1, sizeof *c, err);
    if (!c) return NULL;
    c->heap = heap;
    pi_arena_init(&c->arena, heap);
    (void)pthread_mutex_init(&c->lock, NULL);
    return c;
}

void pi_choices_free(pi_choices *c)
{
    if (!c) return;
    (void)pthread_mutex_destroy(&c->lock);
    pi_arena_deinit(&c->arena);
    pi_free(c);
}

static const entry *find(const pi_choices *c, uint64_t key)
{
    const entry *e = c->slot[key % CHOICE_SLOTS];
    while (e && e->choice.key != key) e = e->next;
    return e;
}

static pi_status add(pi_choices *c, const pi_choice *choice, const char *text, pi_error *err)
{
    entry *e = pi_arena_alloc(&c->arena, sizeof *e, err);
    if (!e || !(e->text = pi_arena_strndup(&c->arena, text, strlen(text), err))) return pi_alloc_status(err);
    e->choice = *choice;
    e->next = c->slot[choice->key % CHOICE_SLOTS];
    c->slot[choice->key % CHOICE_SLOTS] = e;
    return PI_E_OK;
}

pi_status pi_choices_add(pi_choices *c, const pi_choice *choice, const char *text, bool measured, pi_error *err)
{
    (void)pthread_mutex_lock(&c->lock);
    bool known = find(c, choice->key) != NULL;
    pi_status st = known ? PI_E_OK : add(c, choice, text, err);
    (void)pthread_mutex_unlock(&c->lock);
    if (st == PI_E_OK && !known) __atomic_add_fetch(&c->kept, 1, __ATOMIC_RELEASE);
    if (st == PI_E_OK && !known && measured) __atomic_add_fetch(&c->made, 1, __ATOMIC_RELEASE);
    return st;
}

const char *pi_choices_find(pi_choices *c, uint64_t key, const char **text)
{
    (void)pthread_mutex_lock(&c->lock);
    const entry *e = find(c, key);
    (void)pthread_mutex_unlock(&c->lock);
    if (e) *text = e->text;
    return e ? e->choice.impl : NULL;
}

bool pi_choices_any(const pi_choices *c) { return __atomic_load_n(&c->kept, __ATOMIC_ACQUIRE) > 0; }
size_t pi_choices_made(const pi_choices *c) { return __atomic_load_n(&c->made, __ATOMIC_ACQUIRE); }

uint64_t pi_choices_spend(pi_choices *c, uint64_t ns) { return __atomic_add_fetch(&c->spent, ns, __ATOMIC_RELAXED); }

pi_status pi_choices_each(pi_choices *c, pi_status (*fn)(void *arg, const pi_choice *choice, pi_error *err), void *arg,
                          pi_error *err)
{
    pi_status st = PI_E_OK;
    (void)pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < CHOICE_SLOTS && st == PI_E_OK; i++)
        for (const entry *e = c->slot[i]; e && st == PI_E_OK; e = e->next) st = fn(arg, &e->choice, err);
    (void)pthread_mutex_unlock(&c->lock);
    return st;
}
