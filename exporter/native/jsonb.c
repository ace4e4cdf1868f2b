/* Columns out of stored JSONB, many rows at once; jsonb.py says why, and calls this.

   A document is a container: a word with flags and a count, an entry (one word) for each key and
   each value, then the bytes of the keys and those of the values. An entry holds a type and a
   length; every 32nd holds where its value ends instead, counted from behind the entries. Numbers
   and containers begin on multiples of four. src/include/utils/jsonb.h, numeric.c (PostgreSQL).

   Nothing here allocates or keeps state, and nothing is read or written beyond what is handed in,
   whatever the documents hold: what is not laid out as expected is told as UNREADABLE. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define COUNT 0x0FFFFFFFu
#define CONTAINER_FLAGS 0xF0000000u
#define OBJECT 0x20000000u
#define ARRAY 0x40000000u

#define LENGTH 0x0FFFFFFFu
#define TYPE 0x70000000u
#define STRING 0x00000000u
#define NUMBER 0x10000000u
#define FALSE 0x20000000u
#define TRUE 0x30000000u
#define NIL 0x40000000u
#define CONTAINER 0x50000000u
#define ABSENT 0x70000000u /* ours: the object has no such key */
#define OFFSET_STRIDE 32

#define MAX_KEYS 1000
#define MAX_SHAPES 32
#define MAX_DEPTH 500
#define ROWS_AT_A_TIME 256

enum { UNREADABLE = -1, FULL = -2 };

/* Another number for another signature or structure in this library: only what is known is
   called. */
const int native_interface = 4;

static uint32_t word(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static uint16_t half(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* The entries of a container, one after another. */
struct walk {
    const uint8_t *entries;
    const uint8_t *body;
    uint64_t size; /* of the body */
    uint32_t number;
    uint64_t reach;
};

struct value {
    uint32_t type;
    uint32_t length;
    const uint8_t *at;
};

static int step(struct walk *walk, struct value *value)
{
    uint32_t entry = word(walk->entries + 4 * (size_t)walk->number);
    uint32_t has_offset = walk->number % OFFSET_STRIDE == 0;
    if (entry >> 31 != has_offset)
        return UNREADABLE;
    uint64_t begun = walk->reach;
    walk->reach = (has_offset ? 0 : begun) + (entry & LENGTH);
    walk->number++;
    value->type = entry & TYPE;
    if (value->type > CONTAINER)
        return UNREADABLE;
    if (value->type == NUMBER || value->type == CONTAINER)
        begun = (begun + 3) & ~(uint64_t)3;
    if (begun > walk->reach || walk->reach > walk->size)
        return UNREADABLE;
    value->length = (uint32_t)(walk->reach - begun);
    value->at = walk->body + begun;
    return 0;
}

/* What objects with the same keys share, byte for byte, and which fields their places are. */
struct shape {
    const uint8_t *object;
    uint32_t count;
    uint32_t keys; /* bytes of all of them */
    int16_t field[MAX_KEYS];
};

static int find_field(struct value key, const uint8_t *names, const int32_t *cuts, int32_t fields)
{
    for (int32_t field = 0; field < fields; field++)
        if (cuts[field + 1] - cuts[field] == (int64_t)key.length
            && !memcmp(names + cuts[field], key.at, key.length))
            return field;
    return -1;
}

static int read_shape(struct shape *shape, const uint8_t *object, uint64_t size, uint32_t count,
                      const uint8_t *names, const int32_t *cuts, int32_t fields)
{
    uint64_t head = 4 + 8 * (uint64_t)count;
    struct walk walk = {object + 4, object + head, size - head, 0, 0};
    struct value key;
    for (uint32_t place = 0; place < count; place++) {
        if (step(&walk, &key) || key.type != STRING)
            return UNREADABLE;
        shape->field[place] = (int16_t)find_field(key, names, cuts, fields);
    }
    shape->object = object;
    shape->count = count;
    shape->keys = (uint32_t)walk.reach;
    return 0;
}

static int has_shape(const struct shape *shape, const uint8_t *object, uint64_t size,
                     uint32_t count)
{
    uint64_t head = 4 + 8 * (uint64_t)count;
    return shape->count == count && head + shape->keys <= size
        && !memcmp(shape->object + 4, object + 4, 4 * (size_t)count)
        && !memcmp(shape->object + head, object + head, shape->keys);
}

/* Where a field's value begins, counted from the first document, and its entry without flags. */
struct found {
    uint32_t entry;
    uint32_t start;
};

/* A field that is met for the first time: until now no row has it. */
static void begin_fields(const struct shape *shape, int64_t rows, struct found *found,
                         int64_t *bytes)
{
    for (uint32_t place = 0; place < shape->count; place++) {
        int64_t field = shape->field[place];
        if (field < 0 || bytes[field] >= 0)
            continue;
        bytes[field] = 0;
        for (int64_t row = 0; row < rows; row++)
            found[field * rows + row] = (struct found){ABSENT, 0};
    }
}

/* Finds each field's value in each row, a field's rows one after another, and how many `bytes` a
   field's values have together; -1, which is left of one that no row has, and then nothing is
   written of it. Documents stand from `begins` to `ends`; `name_cuts` holds one more than there are
   fields. 0, or UNREADABLE. */
int find_values(const uint8_t *data, const int32_t *begins, const int32_t *ends, int64_t rows,
                const uint8_t *names, const int32_t *name_cuts, int32_t fields,
                struct found *found, int64_t *bytes)
{
    struct shape shapes[MAX_SHAPES];
    int known = 0, next = 0, last = 0;
    for (int32_t field = 0; field < fields; field++)
        bytes[field] = -1;
    for (int64_t row = 0; row < rows; row++) {
        const uint8_t *object = data + begins[row];
        if (ends[row] < begins[row] + 4)
            return UNREADABLE;
        uint64_t size = (uint64_t)(ends[row] - begins[row]);
        uint32_t count = word(object) & COUNT;
        uint64_t head = 4 + 8 * (uint64_t)count;
        if ((word(object) & CONTAINER_FLAGS) != OBJECT || count > MAX_KEYS || head > size)
            return UNREADABLE;
        if (last >= known || !has_shape(&shapes[last], object, size, count)) {
            for (last = 0; last < known; last++)
                if (has_shape(&shapes[last], object, size, count))
                    break;
            if (last == known) {
                last = next;
                next = (next + 1) % MAX_SHAPES;
                known += known < MAX_SHAPES;
                if (read_shape(&shapes[last], object, size, count, names, name_cuts, fields))
                    return UNREADABLE;
                begin_fields(&shapes[last], rows, found, bytes);
            }
        }
        const struct shape *shape = &shapes[last];
        struct walk walk = {object + 4, object + head, size - head, count, shape->keys};
        struct value value;
        for (uint32_t place = 0; place < count; place++) {
            if (step(&walk, &value))
                return UNREADABLE;
            int64_t field = shape->field[place];
            if (field >= 0) {
                found[field * rows + row].entry = value.type | value.length;
                found[field * rows + row].start = (uint32_t)(value.at - data);
                bytes[field] += value.length;
            }
        }
    }
    return 0;
}

static void set_bit(uint8_t *bits, int64_t number)
{
    bits[number >> 3] |= (uint8_t)(1 << (number & 7));
}

/* A column while it is read: Arrow's buffers, of which the bitmaps begin with zeros. */
struct column {
    int64_t kind;
    int64_t field;
    int32_t *offsets; /* of texts */
    uint8_t *valid;
    uint8_t *out; /* bytes of texts, bits of truth values, or 32-bit numbers */
    int64_t size; /* of `out`, for texts */
    int64_t end; /* of what was written of them */
    int64_t nulls; /* UNREADABLE, and of JSON FULL, when reading ended early */
};

/* A numeric: its size, then a header of one or two halves, then digits to the base of 10,000.
   `weight` is the first digit's power, `scale` how many decimals are shown. */
struct numeric {
    int is_negative;
    int32_t weight;
    int32_t scale;
    int32_t count;
    const uint8_t *digits;
};

static int read_numeric(const uint8_t *at, uint32_t length, struct numeric *number)
{
    if (length < 6 || length % 2 || word(at) != length << 2)
        return UNREADABLE;
    uint16_t head = half(at + 4);
    if ((head & 0xC000) == 0x8000) {
        number->is_negative = head >> 13 & 1;
        number->scale = head >> 7 & 0x3F;
        number->weight = (head & 0x3F) - (head & 0x40);
        number->digits = at + 6;
    } else if (!(head & 0x8000) && length >= 8) {
        number->is_negative = head >> 14 & 1;
        number->scale = head & 0x3FFF;
        number->weight = (int16_t)half(at + 6);
        number->digits = at + 8;
    } else
        return UNREADABLE;
    number->count = (int32_t)((at + length - number->digits) / 2);
    return 0;
}

static int32_t digit_of(const struct numeric *number, int32_t place)
{
    return place >= 0 && place < number->count ? half(number->digits + 2 * (size_t)place) : 0;
}

static int read_integer(struct found found, const uint8_t *data, int32_t *out)
{
    struct numeric number;
    if (read_numeric(data + found.start, found.entry & LENGTH, &number) || number.scale
        || number.weight > 2 || number.count > number.weight + 1)
        return UNREADABLE;
    int64_t value = 0;
    for (int32_t place = 0; place <= number.weight; place++)
        value = value * 10000 + digit_of(&number, place);
    if (number.is_negative)
        value = -value;
    if (value < INT32_MIN || value > INT32_MAX)
        return UNREADABLE;
    *out = (int32_t)value;
    return 0;
}

struct text {
    uint8_t *at;
    uint8_t *end;
};

static int put(struct text *text, const void *bytes, size_t size)
{
    if ((size_t)(text->end - text->at) < size)
        return FULL;
    memcpy(text->at, bytes, size);
    text->at += size;
    return 0;
}

static int put_escaped(struct text *text, uint8_t byte)
{
    static const char hex[] = "0123456789abcdef";
    char longest[] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};
    switch (byte) {
    case '"': return put(text, "\\\"", 2);
    case '\\': return put(text, "\\\\", 2);
    case '\b': return put(text, "\\b", 2);
    case '\f': return put(text, "\\f", 2);
    case '\n': return put(text, "\\n", 2);
    case '\r': return put(text, "\\r", 2);
    case '\t': return put(text, "\\t", 2);
    default: return put(text, longest, sizeof longest);
    }
}

/* Whether one of eight bytes is below a space, a quote or a backslash. */
static uint64_t has_special(uint64_t bytes)
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    uint64_t quotes = bytes ^ ones * '"', slashes = bytes ^ ones * '\\';
    return ((bytes - ones * ' ') & ~bytes & highs) | ((quotes - ones) & ~quotes & highs)
        | ((slashes - ones) & ~slashes & highs);
}

static const uint8_t *skip_plain(const uint8_t *at, const uint8_t *end)
{
    uint64_t eight;
    for (; end - at >= 8; at += 8) {
        memcpy(&eight, at, sizeof eight);
        if (has_special(eight))
            break;
    }
    while (at < end && *at >= ' ' && *at != '"' && *at != '\\')
        at++;
    return at;
}

static int put_string(struct text *text, const uint8_t *at, size_t length)
{
    const uint8_t *end = at + length;
    int failure = put(text, "\"", 1);
    while (at < end && !failure) {
        const uint8_t *plain = at;
        at = skip_plain(at, end);
        failure = put(text, plain, (size_t)(at - plain));
        if (at < end && !failure)
            failure = put_escaped(text, *at++);
    }
    return failure ? failure : put(text, "\"", 1);
}

/* As numeric_out writes it: what was sent, with as many decimals. */
static int put_number(struct text *text, const uint8_t *at, uint32_t length)
{
    struct numeric number;
    if (read_numeric(at, length, &number))
        return UNREADABLE;
    if (number.is_negative && put(text, "-", 1))
        return FULL;
    int32_t place = 0;
    if (number.weight < 0) {
        place = number.weight + 1;
        if (put(text, "0", 1))
            return FULL;
    }
    for (; place <= number.weight; place++) {
        int32_t digit = digit_of(&number, place);
        char four[] = {(char)('0' + digit / 1000 % 10), (char)('0' + digit / 100 % 10),
                       (char)('0' + digit / 10 % 10), (char)('0' + digit % 10)};
        int zeros = 0;
        while (place == 0 && zeros < 3 && four[zeros] == '0')
            zeros++;
        if (put(text, four + zeros, (size_t)(4 - zeros)))
            return FULL;
    }
    if (number.scale && put(text, ".", 1))
        return FULL;
    for (int32_t left = number.scale; left > 0; left -= 4, place++) {
        int32_t digit = digit_of(&number, place);
        char four[] = {(char)('0' + digit / 1000 % 10), (char)('0' + digit / 100 % 10),
                       (char)('0' + digit / 10 % 10), (char)('0' + digit % 10)};
        if (put(text, four, (size_t)(left < 4 ? left : 4)))
            return FULL;
    }
    return 0;
}

static int put_container(struct text *text, const uint8_t *at, uint32_t length, int depth);

static int put_value(struct text *text, struct value value, int depth)
{
    switch (value.type) {
    case STRING: return put_string(text, value.at, value.length);
    case NUMBER: return put_number(text, value.at, value.length);
    case FALSE: return put(text, "false", 5);
    case TRUE: return put(text, "true", 4);
    case NIL: return put(text, "null", 4);
    case CONTAINER: return put_container(text, value.at, value.length, depth);
    default: return UNREADABLE;
    }
}

static int put_container(struct text *text, const uint8_t *at, uint32_t length, int depth)
{
    if (length < 4 || depth > MAX_DEPTH)
        return UNREADABLE;
    uint32_t count = word(at) & COUNT, flags = word(at) & CONTAINER_FLAGS;
    if (flags != OBJECT && flags != ARRAY)
        return UNREADABLE;
    uint64_t head = 4 + (flags == OBJECT ? 8 : 4) * (uint64_t)count;
    if (head > length)
        return UNREADABLE;
    struct walk keys = {at + 4, at + head, length - head, 0, 0}, values = keys;
    struct value key, value;
    if (flags == OBJECT) {
        for (uint32_t place = 0; place < count; place++)
            if (step(&values, &key)) /* over the keys, to where values begin */
                return UNREADABLE;
    }
    int failure = put(text, flags == OBJECT ? "{" : "[", 1);
    for (uint32_t place = 0; place < count && !failure; place++) {
        if (place && put(text, ", ", 2))
            return FULL;
        if (flags == OBJECT) {
            if (step(&keys, &key) || key.type != STRING)
                return UNREADABLE;
            failure = put_string(text, key.at, key.length);
            if (!failure)
                failure = put(text, ": ", 2);
            if (failure)
                return failure;
        }
        failure = step(&values, &value) ? UNREADABLE : put_value(text, value, depth + 1);
    }
    return failure ? failure : put(text, flags == OBJECT ? "}" : "]", 1);
}

enum { KIND_STRING, KIND_INTEGER, KIND_BOOLEAN, KIND_JSON };

static int read_string(struct found found, const uint8_t *data, struct text *text)
{
    return put(text, data + found.start, found.entry & LENGTH);
}

static int read_json(struct found found, const uint8_t *data, struct text *text)
{
    struct value value = {found.entry & TYPE, found.entry & LENGTH, data + found.start};
    return put_value(text, value, 0);
}

/* One value, which is there. */
static int read_value(struct column *column, int64_t row, struct found found, const uint8_t *data,
                      struct text *text)
{
    uint32_t type = found.entry & TYPE;
    switch (column->kind) {
    case KIND_STRING: return type == STRING ? read_string(found, data, text) : UNREADABLE;
    case KIND_JSON: return read_json(found, data, text);
    case KIND_INTEGER:
        return type == NUMBER ? read_integer(found, data, (int32_t *)column->out + row) : UNREADABLE;
    case KIND_BOOLEAN:
        if (type == TRUE)
            set_bit(column->out, row);
        return type == TRUE || type == FALSE ? 0 : UNREADABLE;
    default: return UNREADABLE;
    }
}

static void read_rows(struct column *column, int64_t first, int64_t last, const uint8_t *data,
                      const struct found *found)
{
    struct text text = {column->out + column->end, column->out + column->size};
    int is_text = column->kind == KIND_STRING || column->kind == KIND_JSON;
    for (int64_t row = first; row < last; row++) {
        uint32_t type = found[row].entry & TYPE;
        if (type == ABSENT || (type == NIL && column->kind != KIND_JSON)) {
            column->nulls++;
            if (column->kind == KIND_INTEGER)
                ((int32_t *)column->out)[row] = 0;
        } else {
            int failure = read_value(column, row, found[row], data, &text);
            if (failure) {
                column->nulls = failure;
                return;
            }
            set_bit(column->valid, row);
        }
        if (is_text)
            column->offsets[row + 1] = (int32_t)(text.at - column->out);
    }
    if (is_text)
        column->end = text.at - column->out;
}

/* Reads every column, some rows at a time, so that their documents stay in the cache. Strings need
   `size` bytes at least as many as their field has together. Nulls are null; JSON's own null is
   the text "null". */
void read_columns(const uint8_t *data, const struct found *found, int64_t rows,
                  struct column *columns, int64_t count)
{
    for (int64_t place = 0; place < count; place++)
        if (columns[place].offsets)
            columns[place].offsets[0] = 0;
    for (int64_t first = 0; first < rows; first += ROWS_AT_A_TIME) {
        int64_t last = rows - first < ROWS_AT_A_TIME ? rows : first + ROWS_AT_A_TIME;
        for (int64_t place = 0; place < count; place++)
            if (columns[place].nulls >= 0)
                read_rows(&columns[place], first, last, data,
                          found + columns[place].field * rows);
    }
}
