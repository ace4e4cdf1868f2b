/* Rows out of the messages of COPY … TO STDOUT (FORMAT binary), where they were received;
   copy_rows.py says why, and calls this.

   A message is a letter, its size in four bytes (which count themselves) and its content, most
   significant byte first. 'd' holds a row: how many fields, and for each its size and its bytes;
   before the first row it holds the file's header, and behind the last one a row of -1 fields
   (PostgreSQL's documentation: COPY, Message Formats).

   Nothing here allocates or keeps state, and nothing is read or written beyond what is handed in,
   whatever was received. */

#include <stdint.h>
#include <string.h>

#define HEAD 5
#define LONGEST (1 << 30) /* PostgreSQL makes none that is longer */

enum { UNREADABLE = -1 };

static const char SIGNATURE[] = "PGCOPY\n\377\r\n"; /* and a zero */

static uint32_t big_word(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

struct span {
    const uint8_t *at;
    const uint8_t *end;
};

/* Over the file's header, where there is one: no row has so many fields as its first letters say. */
static int skip_header(struct span *content)
{
    if (content->end - content->at < 19 || memcmp(content->at, SIGNATURE, sizeof SIGNATURE))
        return 0;
    uint32_t extension = big_word(content->at + 15);
    if (content->end - content->at - 19 < (int64_t)extension)
        return UNREADABLE;
    content->at += 19 + (size_t)extension;
    return 0;
}

static int is_trailer(struct span content)
{
    return content.end - content.at == 2 && content.at[0] == 0xFF && content.at[1] == 0xFF;
}

/* Where rows go: the bytes of each field that has a width to `out`, a field's one after another;
   of the one whose width is -1, where it stands. */
struct target {
    const int32_t *widths;
    int64_t fields;
    uint8_t **out;
    int32_t *begins;
    int32_t *ends;
};

static int read_row(struct span content, const uint8_t *data, const struct target *target,
                    int64_t row)
{
    if (content.end - content.at < 2
        || (content.at[0] << 8 | content.at[1]) != target->fields)
        return UNREADABLE;
    content.at += 2;
    for (int64_t field = 0; field < target->fields; field++) {
        if (content.end - content.at < 4)
            return UNREADABLE;
        int64_t size = big_word(content.at), width = target->widths[field];
        content.at += 4;
        if (content.end - content.at < size || (width >= 0 && size != width))
            return UNREADABLE; /* a null, too: its size is the largest there is */
        if (width >= 0)
            memcpy(target->out[field] + row * width, content.at, (size_t)width);
        else {
            target->begins[row] = (int32_t)(content.at - data);
            target->ends[row] = (int32_t)(content.at + size - data);
        }
        content.at += size;
    }
    return content.at == content.end ? 0 : UNREADABLE;
}

/* Reads on from reach[0], with `rows` read before, up to the first message that is not there as a
   whole, that tells of an error or that the command is complete ('E', 'C'), or behind `most` rows.
   How many rows there are, or UNREADABLE; reach[0] is where reading ended, reach[1] how many bytes
   the message there has, or 0 where that is not known. */
int64_t read_messages(const uint8_t *data, int64_t size, int64_t most, const struct target *target,
                      int64_t rows, int64_t *reach)
{
    int64_t at = reach[0], wanted = 0;
    while (rows < most && size - at >= HEAD) {
        uint8_t kind = data[at];
        wanted = 1 + (int64_t)big_word(data + at + 1);
        if (wanted < HEAD || wanted > LONGEST)
            return UNREADABLE;
        if (wanted > size - at || kind == 'E' || kind == 'C')
            break;
        struct span content = {data + at + HEAD, data + at + wanted};
        if (kind == 'd') {
            if (skip_header(&content))
                return UNREADABLE;
            if (!is_trailer(content) && read_row(content, data, target, rows++))
                return UNREADABLE;
        } else if (!kind || !strchr("HcNSA", kind))
            return UNREADABLE;
        at += wanted;
        wanted = 0;
    }
    reach[0] = at;
    reach[1] = wanted;
    return rows;
}
