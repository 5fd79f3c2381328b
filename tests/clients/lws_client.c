// libwebsockets: sends back what comes until "bye", pings, closes.
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Messages wait here, one behind the other, until the socket takes them.
struct message { struct message *next; size_t length; int kind; unsigned char bytes[]; };
static struct message *first, **last = &first, *building;
static int is_over, code = -1;

static void keep(int kind, const void *bytes, size_t length)
{
    struct message *message = malloc(sizeof *message + LWS_PRE + length);
    *message = (struct message){.length = length, .kind = kind};
    memcpy(message->bytes + LWS_PRE, bytes, length);
    *last = message;
    last = &message->next;
}

static void hear(struct lws *wsi, const void *bytes, size_t length)
{
    size_t before = building ? building->length : 0;
    building = realloc(building, sizeof *building + before + length);
    memcpy(building->bytes + before, bytes, length);
    building->length = before + length;
    if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi))
        return;
    if (building->length == 3 && !memcmp(building->bytes, "bye", 3))
        keep(LWS_WRITE_PING, "are you there", 13);
    else
        keep(lws_frame_is_binary(wsi) ? LWS_WRITE_BINARY : LWS_WRITE_TEXT, building->bytes, building->length);
    free(building);
    building = NULL;
    lws_callback_on_writable(wsi);
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length)
{
    struct message *message = first;
    (void)user;
    switch (reason) {
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        fprintf(stderr, "%s\n", in ? (char *)in : "no connection");
        is_over = 1;
        break;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        hear(wsi, in, length);
        break;
    case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
        lws_close_reason(wsi, LWS_CLOSE_STATUS_NORMAL, NULL, 0);
        return -1;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        if (!message)
            break;
        first = message->next;
        if (!first)
            last = &first;
        if (lws_write(wsi, message->bytes + LWS_PRE, message->length, message->kind) < 0)
            return -1;
        free(message);
        if (first)
            lws_callback_on_writable(wsi);
        break;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        code = ((unsigned char *)in)[0] << 8 | ((unsigned char *)in)[1];
        break;
    case LWS_CALLBACK_CLIENT_CLOSED:
        printf("closed %d\n", code < 0 ? 1000 : code);
        is_over = 1;
        break;
    default:
        break;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct lws_protocols protocols[] = {{"any", on_event, 0, 65536, 0, NULL, 0}, {0}};
    struct lws_context_creation_info info = {.port = CONTEXT_PORT_NO_LISTEN, .protocols = protocols};
    struct lws_client_connect_info where = {0};
    char *url = argc > 1 ? argv[1] : "";
    const char *scheme, *path;
    lws_set_log_level(LLL_ERR, NULL);
    lws_parse_uri(url, &scheme, &where.address, &where.port, &path);
    where.context = lws_create_context(&info);
    where.path = "/";
    where.host = where.origin = where.address;
    where.local_protocol_name = "any";
    lws_client_connect_via_info(&where);
    while (!is_over)
        lws_service(where.context, 1000);
    return 0;
}
