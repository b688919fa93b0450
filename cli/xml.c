/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Theory of operation: XmlLite asks a stream for bytes and gives nodes one by one. An empty element has no end of its
 * own there: it is told all the same, so that callers count alike.
 */
#define COBJMACROS
#include "xml.h"

#include "text.h"

#include <objidl.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>
#include <xmllite.h>

/* As Microsoft's headers have them; no library of the linker's is to tell. */
static const IID iid_unknown = {0, 0, 0, {0xc0, 0, 0, 0, 0, 0, 0, 0x46}};
static const IID iid_stream = {0x0c733a30, 0x2a1c, 0x11ce, {0xad, 0xe5, 0x00, 0xaa, 0x00, 0x44, 0x77, 0x3d}};
static const IID iid_reader = {0x7279fc81, 0x709d, 0x4095, {0xb6, 0x3d, 0x69, 0xfe, 0x4b, 0x0d, 0x90, 0x30}};

typedef HRESULT(WINAPI *create_fn)(REFIID id, void **object, IMalloc *memory);

struct xml {
    ISequentialStream stream; /* first: XmlLite knows it by this */
    const uint8_t *bytes;
    size_t left;
    HMODULE module;
    IXmlReader *reader;
    char *text, *attribute;
    bool ends; /* the element that has begun is empty */
};

/* ---- the stream; it lives as long as the reader, so references are not counted */

static HRESULT STDMETHODCALLTYPE stream_query(ISequentialStream *s, REFIID id, void **object)
{
    bool known = IsEqualIID(id, &iid_unknown) || IsEqualIID(id, &iid_stream);
    *object = known ? s : NULL;
    return known ? S_OK : E_NOINTERFACE;
}

static ULONG STDMETHODCALLTYPE stream_reference(ISequentialStream *s)
{
    (void)s;
    return 1;
}

static HRESULT STDMETHODCALLTYPE stream_read(ISequentialStream *s, void *out, ULONG size, ULONG *read)
{
    struct xml *x = (struct xml *)s;
    ULONG n = x->left < size ? (ULONG)x->left : size;
    memcpy(out, x->bytes, n);
    x->bytes += n;
    x->left -= n;
    if (read) {
        *read = n;
    }
    return n < size ? S_FALSE : S_OK;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): of that type in ISequentialStream */
static HRESULT STDMETHODCALLTYPE stream_write(ISequentialStream *s, const void *in, ULONG size, ULONG *written)
{
    (void)s, (void)in, (void)size, (void)written;
    return E_NOTIMPL;
}

static ISequentialStreamVtbl stream_calls = {stream_query, stream_reference, stream_reference, stream_read,
                                             stream_write};

/* ---- reading */

struct xml *xml_open(const void *bytes, size_t size)
{
    struct xml *x = calloc(1, sizeof *x);
    if (!x) {
        return NULL;
    }
    x->stream.lpVtbl = &stream_calls;
    x->bytes = bytes;
    x->left = size;
    x->module = LoadLibraryExW(L"xmllite.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    create_fn create = x->module ? (create_fn)(void (*)(void))GetProcAddress(x->module, "CreateXmlReader") : NULL;
    if (!create || FAILED(create(&iid_reader, (void **)&x->reader, NULL)) ||
        FAILED(IXmlReader_SetProperty(x->reader, XmlReaderProperty_DtdProcessing, DtdProcessing_Prohibit)) ||
        FAILED(IXmlReader_SetInput(x->reader, (IUnknown *)&x->stream))) {
        xml_close(x);
        return NULL;
    }
    return x;
}

void xml_close(struct xml *x)
{
    if (!x) {
        return;
    }
    if (x->reader) {
        IXmlReader_Release(x->reader);
    }
    if (x->module) {
        FreeLibrary(x->module);
    }
    free(x->text);
    free(x->attribute);
    free(x);
}

static bool keep(char **to, const wchar_t *text)
{
    free(*to);
    *to = text_utf8(text);
    return *to;
}

enum xml_node xml_next(struct xml *x)
{
    XmlNodeType type;
    const wchar_t *text = NULL;
    if (x->ends) {
        x->ends = false;
        return XML_END;
    }
    while (IXmlReader_Read(x->reader, &type) == S_OK) {
        bool known = true;
        switch (type) {
        case XmlNodeType_Element:
            x->ends = IXmlReader_IsEmptyElement(x->reader);
            known = SUCCEEDED(IXmlReader_GetLocalName(x->reader, &text, NULL)) && keep(&x->text, text);
            return known ? XML_BEGIN : XML_WRONG;
        case XmlNodeType_EndElement:
            return XML_END;
        case XmlNodeType_Text:
        case XmlNodeType_CDATA:
            known = SUCCEEDED(IXmlReader_GetValue(x->reader, &text, NULL)) && keep(&x->text, text);
            return known ? XML_TEXT : XML_WRONG;
        default:
            break; /* comments, blanks between elements, the declaration */
        }
    }
    return IXmlReader_IsEOF(x->reader) ? XML_DONE : XML_WRONG;
}

const char *xml_text(const struct xml *x)
{
    return x->text ? x->text : "";
}

const char *xml_attribute(struct xml *x, const char *name)
{
    wchar_t *wide = text_wide(name);
    const wchar_t *value = NULL;
    bool found = wide && IXmlReader_MoveToAttributeByName(x->reader, wide, NULL) == S_OK &&
                 SUCCEEDED(IXmlReader_GetValue(x->reader, &value, NULL)) && keep(&x->attribute, value);
    IXmlReader_MoveToElement(x->reader);
    free(wide);
    return found ? x->attribute : "";
}

uint32_t xml_line(const struct xml *x)
{
    UINT line = 0;
    IXmlReader_GetLineNumber(x->reader, &line);
    return line;
}
