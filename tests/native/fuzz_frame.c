/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright the pam-ukey authors */
/* libFuzzer on frame.c: any bytes as one frame, its head included. */
#include "pam_ukey.h"

#include <stdlib.h>
#include <string.h>

#include <sanitizer/asan_interface.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
    if (!holds)
        abort();
}

/* The frame that says what `step` does. */
static void build(const struct step *step, struct frame *frame)
{
    uint8_t kind = (uint8_t)step->kind, echo = step->echo;
    frame_start(frame, step->frame);
    if (step->frame == STEP) {
        frame_put(frame, TAG_SESSION, step->session, SESSION_ID);
        frame_put(frame, TAG_STEP, &kind, sizeof kind);
    }
    frame_put(frame, TAG_TEXT, step->text, strlen(step->text));
    frame_put(frame, TAG_CODE, step->code, strlen(step->code));
    frame_put(frame, TAG_ERROR, step->error, strlen(step->error));
    frame_put(frame, TAG_ECHO, &echo, sizeof echo);
}

/* Whether `text` is the value of the field in a well-formed frame, empty where there is none. */
static bool is_field(const struct frame *frame, enum frame_tag tag, const char *text)
{
    const uint8_t *end = frame->bytes + frame->length;
    for (const uint8_t *at = frame->bytes + FRAME_HEAD; at < end;) {
        size_t length = (size_t)at[1] << 8 | at[2];
        if (at[0] == tag)
            return strlen(text) == length && memcmp(text, at + 3, length) == 0;
        at += 3 + length;
    }
    return text[0] == '\0';
}

/* What is read says what the bytes do, and reads the same when it is written again. */
static void check(const struct frame *read, struct step *step)
{
    static struct frame frame;
    static struct step again;

    expect(is_field(read, TAG_TEXT, step->text) && is_field(read, TAG_CODE, step->code));
    expect(is_field(read, TAG_ERROR, step->error));
    expect(step->frame == STEP || step->frame == REFUSED);
    expect(step->frame == REFUSED || (step->kind >= STEP_INFO && step->kind <= STEP_VERDICT));
    expect(strlen(step->text) <= TEXT_MAX);
    expect(strlen(step->code) <= NAME_MAX_BYTES && strlen(step->error) <= NAME_MAX_BYTES);
    build(step, &frame);
    expect(frame_finish(&frame));
    expect(frame_body_length(frame.bytes) == (int)frame.length - FRAME_HEAD);
    expect(frame_read_step(&frame, &again));
    if (step->frame == REFUSED) { /* these mean nothing there, and are not written above */
        step->kind = STEP_NONE;
        memset(step->session, 0, SESSION_ID);
    }
    expect(again.frame == step->frame && again.kind == step->kind && again.echo == step->echo);
    expect(memcmp(again.session, step->session, SESSION_ID) == 0);
    expect(strcmp(again.text, step->text) == 0 && strcmp(again.code, step->code) == 0);
    expect(strcmp(again.error, step->error) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame *frame = malloc(sizeof *frame);
    struct step *step = malloc(sizeof *step);

    if (size >= FRAME_HEAD && size <= sizeof frame->bytes) {
        memcpy(frame->bytes, data, size);
        frame->length = size;
        (void)frame_body_length(frame->bytes);
        /* What is behind the end of the frame is nobody's to read. */
        ASAN_POISON_MEMORY_REGION(frame->bytes + size, sizeof frame->bytes - size);
        if (frame_read_step(frame, step))
            check(frame, step);
        ASAN_UNPOISON_MEMORY_REGION(frame->bytes, sizeof frame->bytes);
    }
    free(step);
    free(frame);
    return 0;
}
