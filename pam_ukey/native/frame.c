/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright the pam-ukey authors */
/*
 * A frame is version u8, kind u8, length u16 BE <= 4096, body; the body is a run of fields
 * tag u8, length u16 BE, value. Unknown tags pass; a field twice or bytes left over are errors.
 */
#include "pam_ukey.h"

#include <string.h>

enum { VERSION = 1, FIELD_HEAD = 3 };

static unsigned u16_at(const uint8_t *bytes)
{
    return (unsigned)bytes[0] << 8 | bytes[1];
}

static void u16_put(uint8_t *bytes, size_t value)
{
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

void frame_start(struct frame *frame, enum frame_kind kind)
{
    frame->bytes[0] = VERSION;
    frame->bytes[1] = (uint8_t)kind;
    frame->length = FRAME_HEAD;
}

void frame_put(struct frame *frame, enum frame_tag tag, const void *value, size_t length)
{
    if (frame->length > sizeof frame->bytes ||
        sizeof frame->bytes - frame->length < FIELD_HEAD + length) {
        frame->length = sizeof frame->bytes + 1;
        return;
    }
    uint8_t *at = frame->bytes + frame->length;
    at[0] = (uint8_t)tag;
    u16_put(at + 1, length);
    memcpy(at + FIELD_HEAD, value, length);
    frame->length += FIELD_HEAD + length;
}

void frame_put_u16(struct frame *frame, enum frame_tag tag, unsigned value)
{
    uint8_t bytes[2];
    u16_put(bytes, value);
    frame_put(frame, tag, bytes, sizeof bytes);
}

bool frame_finish(struct frame *frame)
{
    if (frame->length > sizeof frame->bytes)
        return false;
    u16_put(frame->bytes + 2, frame->length - FRAME_HEAD);
    return true;
}

int frame_body_length(const uint8_t head[FRAME_HEAD])
{
    unsigned length = u16_at(head + 2);
    return head[0] == VERSION && length <= FRAME_MAX ? (int)length : -1;
}

/* A text has at most `max` bytes and no NUL, so that what is shown is what was sent. */
static bool text_of(char *out, size_t max, const uint8_t *value, size_t length)
{
    if (length > max || memchr(value, '\0', length) != NULL)
        return false;
    memcpy(out, value, length);
    out[length] = '\0';
    return true;
}

static bool read_field(struct step *step, uint8_t tag, const uint8_t *value, size_t length)
{
    switch (tag) {
    case TAG_SESSION:
        if (length != SESSION_ID)
            return false;
        memcpy(step->session, value, SESSION_ID);
        return true;
    case TAG_STEP:
        if (length != 1 || value[0] < STEP_INFO || value[0] > STEP_VERDICT)
            return false;
        step->kind = value[0];
        return true;
    case TAG_ECHO:
        step->echo = length == 1 && value[0] == 1;
        return length == 1 && value[0] <= 1;
    case TAG_TEXT:
        return text_of(step->text, sizeof step->text - 1, value, length);
    case TAG_CODE:
        return text_of(step->code, sizeof step->code - 1, value, length);
    case TAG_ERROR:
        return text_of(step->error, sizeof step->error - 1, value, length);
    default:
        return true;
    }
}

bool frame_read_step(const struct frame *frame, struct step *step)
{
    const uint8_t *at = frame->bytes + FRAME_HEAD, *end = frame->bytes + frame->length;
    bool seen[UINT8_MAX + 1] = {false};

    memset(step, 0, sizeof *step);
    step->frame = frame->bytes[1];
    while (at < end) {
        if (end - at < FIELD_HEAD || seen[at[0]])
            return false;
        size_t length = u16_at(at + 1);
        if ((size_t)(end - at) - FIELD_HEAD < length ||
            !read_field(step, at[0], at + FIELD_HEAD, length))
            return false;
        seen[at[0]] = true;
        at += FIELD_HEAD + length;
    }
    if (step->frame == STEP)
        return seen[TAG_SESSION] && seen[TAG_STEP];
    return step->frame == REFUSED;
}
