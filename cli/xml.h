/* SPDX-License-Identifier: LGPL-3.0-or-later */
/** @file xml.h  XML, read by Windows' own parser (XmlLite): no document types, no entities of others. */
#ifndef CLI_XML_H
#define CLI_XML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xml;

/** Reads these bytes, which must stay as they are. NULL: there is no XmlLite, or no memory. */
struct xml *xml_open(const void *bytes, size_t size);
void xml_close(struct xml *x);

enum xml_node {
    XML_BEGIN, /* an element begins; an empty one ends at once */
    XML_TEXT,  /* a piece of text */
    XML_END,
    XML_DONE,
    XML_WRONG, /* no well-formed XML; xml_line() says where */
};

enum xml_node xml_next(struct xml *x);

/** The element's name, or the piece of text, in UTF-8; until the next call. */
const char *xml_text(const struct xml *x);

/** An attribute of the element that has begun; "" if it has none of that name. Until the next call of xml. */
const char *xml_attribute(struct xml *x, const char *name);

uint32_t xml_line(const struct xml *x);

#endif
