/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: a packet or event at a layer is shown to the callouts of the layer's filters, in
 * order, each with the values of the layer's fields. A callout answers with an action and may take away
 * the right to change it. Within a sublayer the first final action (block or permit) ends the asking; all
 * sublayers are asked, and "block" by any of them decides. A packet that is blocked and absorbed is the
 * callout's and is shown to nobody further.
 *
 * The lab wants to know which handle took what. A callout that takes a packet away says so by its answer.
 * One that only looks shows it by what it does meanwhile: it allocates memory for a copy, or takes a
 * pending receive (classification_touched). That is reported at once, before the receive can be completed.
 */
#include "engine.h"

#include <string.h>

static void report(struct visit *visit, NET_BUFFER *buffer)
{
    if (buffer) {
        if (buffer->taker == visit->taker) {
            return;
        }
        buffer->taker = visit->taker;
    } else {
        if (visit->told) {
            return;
        }
        visit->told = true;
    }
    if (visit->sink) {
        visit->sink->taken(visit->sink, visit->handle, visit->how, buffer);
    }
}

void visit_take(struct visit *visit)
{
    NET_BUFFER *buffer = NULL;

    if (!visit->taker) {
        return;
    }
    if (visit->list) {
        buffer = visit->list->looked_at ? visit->list->looked_at : visit->list->FirstNetBuffer;
    }
    report(visit, buffer);
}

void classification_touched(void)
{
    struct visit *visit = visit_of_thread();

    if (visit) {
        visit_take(visit);
    }
}

/*
 * A packet is allocated for when it is copied. At the layers of events the memory may also be for the
 * context of a flow, which is known a moment later.
 */
void visit_allocated(const void *memory)
{
    struct visit *visit = visit_of_thread();

    if (!visit) {
        return;
    }
    if (visit->list || visit->memory) {
        visit_take(visit);
    }
    visit->memory = visit->list ? NULL : memory;
}

void visit_explains(const void *memory)
{
    struct visit *visit = visit_of_thread();

    if (visit && visit->memory == memory) {
        visit->memory = NULL;
    }
}

static void report_all(struct visit *visit)
{
    if (!visit->list) {
        report(visit, NULL);
    } else {
        for (NET_BUFFER *buffer = visit->list->FirstNetBuffer; buffer; buffer = buffer->Next) {
            report(visit, buffer);
        }
    }
}

/*
 * What the callout of a filter makes of it. Without a callout the filter blocks, as Microsoft documents
 * for this type of action.
 */
static void ask(struct visit *visit, const struct filter *filter, const FWPS_INCOMING_VALUES0 *values,
                const FWPS_INCOMING_METADATA_VALUES0 *metadata, FWPS_CLASSIFY_OUT0 *out)
{
    struct callout *callout = filter->callout;

    if (!callout) {
        if (filter->given.action.type != FWP_ACTION_CALLOUT_INSPECTION) {
            out->actionType = FWP_ACTION_BLOCK;
        }
        return;
    }
    visit->told = false;
    visit->memory = NULL;
    visit->handle = filter->handle;
    visit->how = layer_facts[filter->layer].tells_only && filter->how == LAB_DIVERTED ? LAB_SNIFFED : filter->how;
    visit->taker = filter->owner ? filter : NULL;
    if (visit->list) {
        visit->list->looked_at = NULL;
    }
    callout->given.classifyFn(values, metadata, visit->list, &filter->given, 0, out);
    if (visit->memory) {
        visit_take(visit);
    }
    if (out->actionType == FWP_ACTION_BLOCK && out->flags & FWPS_CLASSIFY_OUT_FLAG_ABSORB && visit->taker) {
        report_all(visit);
    }
    visit->taker = NULL;
}

static bool is_out_of_service(const struct filter *filter)
{
    return filter->deleted || (filter->owner && filter->owner->dead);
}

uint32_t classify(enum layer layer, FWP_VALUE0 *values, const FWPS_INCOMING_METADATA_VALUES0 *metadata,
                  NET_BUFFER_LIST *list, const struct sink *sink)
{
    FWPS_INCOMING_VALUES0 incoming = {layer_facts[layer].id, layer_facts[layer].fields, values};
    const struct object *decided = NULL; /* the sublayer that has */
    uint32_t result = FWP_ACTION_CONTINUE;
    FWPS_CLASSIFY_OUT0 out = {.actionType = FWP_ACTION_CONTINUE, .rights = FWPS_RIGHT_ACTION_WRITE};
    struct visit visit;

    if (!layer_is_watched(layer)) {
        return result;
    }
    visit_enter(&visit, layer);
    visit.list = list;
    visit.sink = sink;
    for (uint32_t i = 0; i < snapshot_count(visit.snapshot); i++) {
        const struct filter *filter = snapshot_filter(visit.snapshot, i);

        if (filter->sublayer == decided || is_out_of_service(filter)) {
            continue;
        }
        out.actionType = FWP_ACTION_CONTINUE;
        out.filterId = filter->given.filterId;
        ask(&visit, filter, &incoming, metadata, &out);
        if (out.actionType == FWP_ACTION_BLOCK || out.actionType == FWP_ACTION_PERMIT) {
            decided = filter->sublayer;
        }
        if (out.actionType == FWP_ACTION_BLOCK) {
            result = FWP_ACTION_BLOCK;
        }
        if (result == FWP_ACTION_BLOCK && out.flags & FWPS_CLASSIFY_OUT_FLAG_ABSORB) {
            break;
        }
    }
    visit_leave(&visit);
    return result;
}
