<?php

/**
 * The classes of the extension `gateway`, for people and for editors. They are compiled into the extension; this file is
 * never loaded. A test compares it with the extension. Their other names are in `aliases.stub.php`.
 *
 * The methods declare no return types, so that a program's subclass may override them freely.
 */

namespace PushGateway;

/**
 * Pushes messages to browsers through a gateway-server.
 *
 * Also known as `Gateway`, `GatewayClient\Gateway` and `GatewayWorker\Lib\Gateway`, wherever the program has no class of that name
 * itself: `gateway.aliases` in php.ini says which of these names are wanted.
 *
 * A *client_id* names one connection, as 20 hexadecimal digits. A *uid* is what a program binds connections to, usually
 * a user's id; a *group* is what it gathers connections in. Both are kept as strings, and neither may be empty by PHP's
 * `empty()`: sends and questions about an empty one concern nobody, and binding it or joining it does nothing, with a warning.
 *
 * A message is a string or what PHP makes a string of; null is sent as `null`, an array as JSON. Where a client_id may be null, that is the client
 * whose event is being handled.
 *
 * Methods that change something return at once. What they hand over is delivered in turn, over a lost connection too;
 * what cannot be delivered is told of by a warning at the request's end. Methods that ask wait for the answer.
 *
 * Where a register of GatewayWorker answers, in PHP, the calls go to its gateways. Those have no way to take a call only
 * once, so what a lost connection may have swallowed is not sent again, but told of by a warning.
 *
 * All methods throw a {@see GatewayException} when the gateway cannot be reached, or a client_id is malformed.
 */
class Gateway
{
    /**
     * Where gateway-server, or a register of GatewayWorker, takes calls from PHP: `host:port`, `tcp://host:port`,
     * `[ipv6]:port`, `tls://host:port` or `unix:///path`, or an array of these that are tried in order. Starts each request as
     * `gateway.register_address` of php.ini.
     *
     * @var string|string[]
     */
    public static $registerAddress = '127.0.0.1:1236';

    /**
     * The gateway's secret. Starts each request as `gateway.secret_key` of php.ini.
     *
     * @var string
     */
    public static $secretKey = '';

    /**
     * The key that signs connect tokens: `token_key` of gateway-server. When it is empty, the key is made of
     * `$secretKey`, there as here. Starts each request as `gateway.token_key` of php.ini.
     *
     * @var string
     */
    public static $tokenKey = '';

    /**
     * How many seconds a call waits at most for the gateway. Starts each request as `gateway.connect_timeout` of
     * php.ini.
     *
     * @var int|float
     */
    public static $connectTimeout = 3;

    /**
     * Accepted for programs that set it; connections are always persistent.
     *
     * @var bool
     */
    public static $persistentConnection = true;

    /**
     * Accepted for programs that set it; there is no such cache.
     *
     * @var bool
     */
    public static $addressesCacheDisable = false;

    /**
     * Sends to everybody, or to the connections listed.
     *
     * @param scalar|\Stringable|null $message
     * @param string[]|null $client_id_array only to these, once each; an empty list is nobody
     * @param string|string[]|null $exclude_client_id not to these
     * @param bool $raw sends the bytes as they are, without the client protocol's framing
     * @param int|string|array<int|string>|null $exclude_group not to the members of these groups
     * @param bool|null $binary sends websocket clients the message as binary, or as text; null is as the server is set
     * @return void
     */
    public static function sendToAll(mixed $message, mixed $client_id_array = null, mixed $exclude_client_id = null, bool $raw = false, mixed $exclude_group = null, ?bool $binary = null)
    {
    }

    /**
     * Sends to one connection.
     *
     * @param bool $raw sends the bytes as they are, without the client protocol's framing
     * @param bool|null $binary sends websocket clients the message as binary, or as text; null is as the server is set
     * @return bool true: the message was handed over
     */
    public static function sendToClient(?string $client_id, mixed $message, bool $raw = false, ?bool $binary = null)
    {
    }

    /**
     * Sends to all connections of a uid, or of each of several.
     *
     * @param int|string|array<int|string> $uid
     * @param bool $raw sends the bytes as they are, without the client protocol's framing
     * @param string|string[]|null $exclude_client_id not to these
     * @param int|string|array<int|string>|null $exclude_group not to the members of these groups
     * @param bool|null $binary sends websocket clients the message as binary, or as text; null is as the server is set
     * @return void
     */
    public static function sendToUid(mixed $uid, mixed $message, bool $raw = false, mixed $exclude_client_id = null, mixed $exclude_group = null, ?bool $binary = null)
    {
    }

    /**
     * Sends to all members of a group, or of each of several. A member of two gets the message twice.
     *
     * @param int|string|array<int|string> $group
     * @param string|string[]|null $exclude_client_id not to these
     * @param bool $raw sends the bytes as they are, without the client protocol's framing
     * @param int|string|array<int|string>|null $exclude_group not to the members of these groups
     * @param bool|null $binary sends websocket clients the message as binary, or as text; null is as the server is set
     * @return false|null false when the group is empty
     */
    public static function sendToGroup(mixed $group, mixed $message, mixed $exclude_client_id = null, bool $raw = false, mixed $exclude_group = null, ?bool $binary = null)
    {
    }

    /**
     * Sends to all connections of a uid, or of each of several, each once, and says how many have taken it.
     *
     * @param int|string|array<int|string> $uid
     * @return array{taken: int, waiting: int, gone: int, silent: list<string>} the connections whose system has taken the message, those
     *     for which it waits, as they are away or slow, those that have gone meanwhile, and the nodes of a cluster that did not answer
     */
    public static function sendToUidCounted(mixed $uid, mixed $message)
    {
    }

    /**
     * Sends to all members of a group, or of each of several, each once, and says how many have taken it.
     *
     * @param int|string|array<int|string> $group
     * @param string|string[]|null $exclude_client_id not to these
     * @return array{taken: int, waiting: int, gone: int, silent: list<string>} as {@see Gateway::sendToUidCounted()}
     */
    public static function sendToGroupCounted(mixed $group, mixed $message, mixed $exclude_client_id = null)
    {
    }

    /**
     * Asks the page of a connection, or all pages of a uid, and waits for their answers. Twenty hex digits are a client_id.
     *
     * @param int|string $client_id_or_uid
     * @param float|null $timeout how many seconds to wait at most, up to $connectTimeout, which is also meant by null
     * @return array<string, string|null> the answer of each, by client_id; null for one that has not answered in time, has gone, or
     *     does not speak gateway.2
     */
    public static function ask(mixed $client_id_or_uid, mixed $message, ?float $timeout = null)
    {
    }

    /**
     * Keeps a message until each device of a uid, or of each of several, has it: also for those that are not there. It needs the
     * server's setting `store`. What the gateway cannot keep is told of by a warning, as is every order that it refuses.
     *
     * @param int|string|array<int|string> $uid
     * @param array{
     *     ttl?: int, id?: int|string|null, replace?: int|string|null, new_device?: 'all'|'unacknowledged', binary?: ?bool
     * } $options `ttl`: for how many seconds it waits, 1 to 2592000, by default 604800, which are 7 days; `id`: 1 to 64 letters,
     *     digits, `_` and `-`, by which the same message delivered again is known until its time ends; `replace`: a key of the
     *     same form, of whose messages only the newest is kept; `new_device`: whether a device that comes for the first time gets
     *     it in any case, or, by default, only if no device has acknowledged it; `binary`: sends plain websockets the message as
     *     binary, or as text; null is as the server is set
     * @return string its id, under which each of the uids has it
     */
    public static function deliverToUid(mixed $uid, mixed $message, array $options = [])
    {
    }

    /**
     * What has become of a message that was delivered: for each uid, whether the gateway still has it, and what each device to
     * which it was written has got. Times are milliseconds since 1970; a null says that this has not happened. What a page says it
     * has received or its user has read is a claim.
     *
     * @return list<array{
     *     uid: string, stored: int, expires: int, waiting: bool,
     *     devices: list<array{device: string, signed: bool, written: ?int, received: ?int, read: ?int}>
     * }> of 1,000 uids at most; `[]` when the id is unknown, or the message's time has ended
     */
    public static function receipt(string $id)
    {
    }

    /**
     * What waits for a uid: how many messages of how many bytes the gateway has, and for each device how many of them wait, of how
     * many dropped ones it is yet to be told, and when it was last seen, in milliseconds since 1970 and to within an hour.
     *
     * @param int|string $uid
     * @return array{
     *     messages: int, bytes: int, devices: list<array{device: string, signed: bool, waiting: int, lost: int, seen: int}>
     * }|null null when the gateway knows nothing of the uid
     */
    public static function inboxOf(mixed $uid)
    {
    }

    /**
     * Forgets all that was delivered to a uid, its devices and what they have got, as when a user is deleted.
     *
     * @param int|string $uid
     * @return void
     */
    public static function forget(mixed $uid)
    {
    }

    /**
     * Closes a connection once everything sent to it, and then the message, has gone out.
     *
     * @return bool true: the order was handed over
     */
    public static function closeClient(string $client_id, mixed $message = null)
    {
    }

    /**
     * Closes all connections of a uid, or of each of several, each once everything sent to it, and then the message, has gone out.
     *
     * @param int|string|array<int|string> $uid
     * @return void
     */
    public static function closeUid(mixed $uid, mixed $message = null)
    {
    }

    /**
     * Binds a connection to a uid, in place of the one it may have had.
     *
     * @param int|string $uid
     * @return void
     */
    public static function bindUid(?string $client_id, mixed $uid)
    {
    }

    /**
     * Takes a connection's uid from it.
     *
     * @param mixed $uid ignored: a connection has only one
     * @return void
     */
    public static function unbindUid(?string $client_id, mixed $uid)
    {
    }

    /**
     * Puts a connection in a group. It may be in many.
     *
     * @param int|string $group
     * @return void
     */
    public static function joinGroup(?string $client_id, mixed $group)
    {
    }

    /**
     * Takes a connection out of a group.
     *
     * @param int|string $group
     * @return void
     */
    public static function leaveGroup(?string $client_id, mixed $group)
    {
    }

    /**
     * Whether a connection is there.
     *
     * @return int 1 or 0
     */
    public static function isOnline(string $client_id)
    {
    }

    /**
     * What is known of a connection.
     *
     * @return array{
     *     state: 'connected'|'parked', since: ?int, online_since: ?int, address: ?string, listener: ?string, uid: ?string,
     *     groups: list<string>, queued_bytes: ?int, parked_seconds: ?int, kept_bytes: int
     * }|null null when it is not there; times are Unix times in seconds, and null where they are not known
     */
    public static function getClientInfo(string $client_id)
    {
    }

    /**
     * Whether a uid has a connection.
     *
     * @param int|string $uid
     * @return int 1 or 0
     */
    public static function isUidOnline(mixed $uid)
    {
    }

    /**
     * The connections of a uid.
     *
     * @param int|string $uid
     * @return string[] client_ids
     */
    public static function getClientIdByUid(mixed $uid)
    {
    }

    /**
     * The uid of a connection.
     *
     * @return string|null null when it has none, or is not there
     */
    public static function getUidByClientId(string $client_id)
    {
    }

    /**
     * How many connections there are.
     *
     * @return int
     */
    public static function getAllClientIdCount()
    {
    }

    /**
     * How many connections there are.
     *
     * @return int
     */
    public static function getAllClientCount()
    {
    }

    /**
     * Closes a connection at once: nothing that is queued for it goes out.
     *
     * @return bool true: the order was handed over
     */
    public static function destroyClient(string $client_id)
    {
    }

    /**
     * Does the same as {@see Gateway::destroyClient()}, in the original's spelling.
     *
     * @return bool true: the order was handed over
     */
    public static function destoryClient(string $client_id)
    {
    }

    /**
     * Empties a group.
     *
     * @param int|string $group
     * @return false|null false when the group is empty
     */
    public static function ungroup(mixed $group)
    {
    }

    /**
     * Which of several uids have a connection.
     *
     * @param array<int|string> $uids
     * @return array<int|string, int> 1 or 0 for each uid
     */
    public static function isUidsOnline(array $uids)
    {
    }

    /**
     * The connections of several uids.
     *
     * @param array<int|string> $uids
     * @return array<int|string, string[]> client_ids for each uid
     */
    public static function batchGetClientIdByUid(array $uids)
    {
    }

    /**
     * How many connections are in a group, or in all.
     *
     * @param int|string $group '' is everybody
     * @return int
     */
    public static function getClientIdCountByGroup(mixed $group = '')
    {
    }

    /**
     * Does the same as {@see Gateway::getClientIdCountByGroup()}.
     *
     * @param int|string $group '' is everybody
     * @return int
     */
    public static function getClientCountByGroup(mixed $group = '')
    {
    }

    /**
     * How many connections are in each of several groups.
     *
     * @param array<int|string> $groups
     * @return array<int|string, int> a number for each group
     */
    public static function batchGetClientIdCountByGroup(array $groups)
    {
    }

    /**
     * How many different uids have a connection.
     *
     * @return int
     */
    public static function getAllUidCount()
    {
    }

    /**
     * All connections.
     *
     * @return array<string, string> client_id => client_id
     */
    public static function getAllClientIdList()
    {
    }

    /**
     * The connections in a group, or in any of several.
     *
     * @param int|string|array<int|string> $group
     * @return array<string, string> client_id => client_id
     */
    public static function getClientIdListByGroup(mixed $group)
    {
    }

    /**
     * All uids that have a connection.
     *
     * @return array<int|string, string> uid => uid
     */
    public static function getAllUidList()
    {
    }

    /**
     * The uids of the connections in a group, or in any of several.
     *
     * @param int|string|array<int|string> $group
     * @return array<int|string, string> uid => uid
     */
    public static function getUidListByGroup(mixed $group)
    {
    }

    /**
     * How many different uids are in a group, or in any of several.
     *
     * @param int|string|array<int|string> $group
     * @return int
     */
    public static function getUidCountByGroup(mixed $group)
    {
    }

    /**
     * All groups that somebody is in.
     *
     * @return array<int|string, int|string> group => group, integers where they look like one
     */
    public static function getAllGroupIdList()
    {
    }

    /**
     * The uids in each group.
     *
     * @return array<int|string, array<int|string, string>> group => [uid => uid]
     */
    public static function getAllGroupUidList()
    {
    }

    /**
     * How many different uids are in each group.
     *
     * @return array<int|string, int> group => number
     */
    public static function getAllGroupUidCount()
    {
    }

    /**
     * The connections in each group.
     *
     * @return array<int|string, array<string, string>> group => [client_id => client_id]
     */
    public static function getAllGroupClientIdList()
    {
    }

    /**
     * How many connections are in each group.
     *
     * @return array<int|string, int> group => number
     */
    public static function getAllGroupClientIdCount()
    {
    }

    /**
     * The session of a connection.
     *
     * @return array<mixed>|null `[]` when it has none, null when the connection is not there
     */
    public static function getSession(string $client_id)
    {
    }

    /**
     * Sets the session of a connection, in place of the one it may have had.
     *
     * @param array<mixed> $session
     * @return void
     */
    public static function setSession(?string $client_id, array $session)
    {
    }

    /**
     * Changes the session of a connection to `array_replace_recursive($old, $session)`, in one step within the gateway.
     *
     * @param array<mixed> $session
     * @return void
     */
    public static function updateSession(?string $client_id, array $session)
    {
    }

    /**
     * Does the same as {@see Gateway::setSession()}, for frameworks that serialize themselves.
     *
     * @param string $session_str a serialized array, or '' for none
     * @return bool true: the order was handed over
     */
    public static function setSocketSession(?string $client_id, string $session_str)
    {
    }

    /**
     * A connect token, with which a page opens its websocket: `new WebSocket(url + '?token=' + token)`. The gateway binds that
     * connection to the uid before anything else happens; no page can say it is somebody else. Nothing is asked of the gateway.
     *
     * @param string|int $uid
     * @param int $ttl for how many seconds it is good
     * @param array<string|int> $groups to join at once
     * @param array<mixed> $session of arrays, strings, numbers, bools and null; whoever has the token can read it
     * @param bool $once it is good for one connection only, so that a page that reconnects needs another one
     * @param string|null $device the name of the page's device, 1 to 64 bytes, for which messages are kept by {@see Gateway::deliverToUid()};
     *     null leaves it to the page
     * @return string
     */
    public static function token(mixed $uid, int $ttl = 3600, array $groups = [], array $session = [], bool $once = false, ?string $device = null)
    {
    }

    /**
     * Whether a page is the one that the client_id was given to: the init message of gateway-server tells each client its
     * client_id with a proof that nobody else learns, and the page posts both.
     *
     * @param mixed $client_id whatever was posted
     * @param mixed $proof whatever was posted
     * @return bool false too for a client that is not online
     */
    public static function isClientProof(mixed $client_id, mixed $proof)
    {
    }

    /**
     * The proof of a client, for an `Events::onConnect` that greets clients by itself. Tell it to nobody but that client.
     *
     * @param string $client_id
     * @return string|null null when it is not online
     */
    public static function getClientProof(string $client_id)
    {
    }

    /**
     * The sessions of all connections, or of those in a group.
     *
     * @param int|string $group empty is everybody
     * @return array<string, array<mixed>> client_id => session, `[]` when it has none
     */
    public static function getAllClientSessions(mixed $group = '')
    {
    }

    /**
     * The sessions of the connections in a group, or in any of several.
     *
     * @param int|string|array<int|string> $group
     * @return array<string, array<mixed>> client_id => session, `[]` when it has none
     */
    public static function getClientSessionsByGroup(mixed $group)
    {
    }

    /**
     * Does the same as {@see Gateway::getAllClientSessions()}.
     *
     * @deprecated
     * @param int|string $group empty is everybody
     * @return array<string, array<mixed>>
     */
    public static function getAllClientInfo(mixed $group = '')
    {
    }

    /**
     * Does the same as {@see Gateway::getClientSessionsByGroup()}.
     *
     * @deprecated
     * @param int|string|array<int|string> $group
     * @return array<string, array<mixed>>
     */
    public static function getClientInfoByGroup(mixed $group)
    {
    }

    /**
     * Sends to the client whose event is being handled; throws outside an event.
     *
     * @param bool|null $binary sends websocket clients the message as binary, or as text; null is as the server is set
     * @return bool
     */
    public static function sendToCurrentClient(mixed $message, bool $raw = false, ?bool $binary = null)
    {
    }

    /**
     * Closes the client whose event is being handled; throws outside an event.
     *
     * @return bool
     */
    public static function closeCurrentClient(mixed $message = null)
    {
    }

    /**
     * Closes, at once, the client whose event is being handled; throws outside an event.
     *
     * @return bool
     */
    public static function destroyCurrentClient()
    {
    }

    /**
     * Does the same as {@see Gateway::destroyCurrentClient()}, in the original's spelling.
     *
     * @return bool
     */
    public static function destoryCurrentClient()
    {
    }

    /**
     * Accepted for programs that call it; nothing has to be set.
     *
     * @return void
     */
    public static function setBusinessWorker(mixed $worker)
    {
    }

    /**
     * Calls a question of this class, such as `isUidOnline` or `getSession`, and does not wait for its answer: for programs with an
     * event loop. What the method gives, {@see GatewayFuture::resolve()} gives later. A method that asks nothing is done at once.
     *
     * Questions keep their place among the calls of this process, but for `ask`, which other calls do not wait for. At most 1,024 are
     * open at a time for each gateway.
     *
     * @param string $method the method's name
     * @param array<mixed> $arguments its arguments, by position or by name
     * @return GatewayFuture
     * @throws GatewayException
     */
    public static function later(string $method, array $arguments = [])
    {
    }

    /**
     * Waits until the gateways have confirmed everything that this process has sent, and says whether they have: for programs that run for
     * long, such as a queue's worker or a server of many requests, whose end of a request PHP does not see. What a gateway has refused is a
     * warning, as at the next call. What is not confirmed in time is delivered all the same, later.
     *
     * @param float|null $timeout how many seconds to wait at most; 0 only looks, and null stands for `gateway.flush_timeout`
     * @return bool
     */
    public static function flush(?float $timeout = null)
    {
    }

    /**
     * The last error of this request: the text of the exception or warning, also where `gateway.on_error = silent`
     * raised none.
     *
     * @return string|null
     */
    public static function lastError()
    {
    }

    /**
     * Counts the calls of this process that change something, on the link to the present register address:
     * `queued` and `queued_bytes` wait to be confirmed, `acked` were confirmed, `resent` were sent again after a lost
     * connection (and took effect once), `dropped` were refused by the gateway or lost with one of GatewayWorker's;
     * `skipped` counts the empty uids and groups of sends and questions; `connected_to` is the gateway's or register's
     * address, or null.
     *
     * @return array{queued: int, queued_bytes: int, acked: int, resent: int, dropped: int, skipped: int, connected_to: string|null}
     */
    public static function stats()
    {
    }
}

/**
 * The worker runner `gateway-worker` is built on this class: the events of a gateway-server's clients, one at a time. Programs
 * have no need of it.
 */
class GatewayEvents
{
    /**
     * Joins the gateway-server at {@see Gateway::$registerAddress} as a worker, which gets the events of a share of its
     * clients from then on. No two workers have the same name.
     *
     * @return void
     */
    public static function join(string $name)
    {
    }

    /**
     * Does the same as {@see GatewayEvents::join()}, and announces that this worker takes moves: the event `move` of a client that has
     * come from another node of the cluster. Clients move only where all workers have announced it.
     *
     * @return void
     */
    public static function joinWithMoves(string $name)
    {
    }

    /**
     * Has this worker, which has joined, told of what has become of messages in the inbox: what devices have received and users have
     * read (the server's setting `receipts`), and what no device has acknowledged in time (`undelivered_seconds`). A batch goes to one
     * worker, and counts as handled at the next call of {@see GatewayEvents::next()}; until then it may come again, to another worker.
     *
     * @return void
     */
    public static function takeNotices()
    {
    }

    /**
     * Waits for the next event; the one before it counts as handled. Gives null when a signal has come or so many
     * milliseconds have passed (0 is without end, and -1 only ends the event before), and false when this worker has left and has handled everything. Throws when the connection is lost: then join again.
     *
     * `server` is what `$_SERVER` is during the event. `session` is serialized, or ''. `body` is the message; of a handshake
     * a serialized array with `get`, `server` and `cookie`; of a move the client_id that the client had before.
     *
     * @return array{0: 'connect'|'handshake'|'move'|'message'|'close', 1: string, 2: array<string, mixed>, 3: string, 4: string}|array{0: 'notices', 1: list<array{uid: string, id: string, device: string, signed: bool, event: 'received'|'read', at: int}>, 2: list<array{uid: string, id: string, stored: int}>}|false|null
     *     kind, client_id, server, session, body; or `notices`, receipts, undelivered messages
     */
    public static function next(int $milliseconds = 0)
    {
    }

    /**
     * Where the nodes of the cluster take calls and workers, `host:port` each; one without a cluster.
     *
     * @return list<string>
     */
    public static function nodes()
    {
    }

    /**
     * Does the same as `unserialize()`, with the classes that `gateway.session_classes` allows. Objects of others stand as
     * `__PHP_Incomplete_Class`, after a warning for the first of them, and {@see GatewayEvents::writeSession()} writes them
     * as they were. No bytes are an empty array.
     *
     * @return mixed
     */
    public static function readSession(string $bytes)
    {
    }

    /**
     * Does the same as `serialize()`.
     *
     * @param array<mixed> $session
     * @return string
     */
    public static function writeSession(array $session)
    {
    }

    /**
     * Has a function told when {@see Gateway::setSession()} (`$is_whole`) or {@see Gateway::updateSession()} changes the session
     * of the client whose event is being handled.
     *
     * @param callable(bool $is_whole, array<mixed> $session): void $told
     * @return void
     */
    public static function onSession(callable $told)
    {
    }

    /**
     * Asks for no more events but those on their way.
     *
     * @return void
     */
    public static function leave()
    {
    }
}

/**
 * A question that {@see Gateway::later()} has asked. One that is dropped gives its answer up.
 */
final class GatewayFuture
{
    /** Only {@see Gateway::later()} makes futures. */
    public function __construct()
    {
    }

    /**
     * Whether {@see GatewayFuture::resolve()} gives the result or throws without waiting.
     *
     * @return bool
     */
    public function isReady()
    {
    }

    /**
     * How long the gateway has left to answer. At 0 the future is ready, and resolving it throws.
     *
     * @return float
     */
    public function secondsLeft()
    {
    }

    /**
     * A stream that is readable once the answer is there, or will not come: for `stream_select()` and event loops. It does not tell
     * that the time is up. There is one for each future, and nothing has to be read from it.
     *
     * @return resource
     */
    public function stream()
    {
    }

    /**
     * Gives what the method gives, or throws what it throws. The method reads its arguments once more for that.
     *
     * @param float|null $timeout how many seconds to wait at most; null waits as long as the gateway has
     * @return mixed
     * @throws GatewayException
     */
    public function resolve(?float $timeout = null)
    {
    }
}

/**
 * The methods of {@see Gateway} throw this, or a class that extends it and says what kind of failure it is.
 */
class GatewayException extends \Exception
{
}

/**
 * No gateway could be reached, or the connection was lost. The code is 1.
 */
class UnreachableException extends GatewayException
{
}

/**
 * The gateway was reached, and has not answered in time, or not taken earlier calls. The code is 2.
 */
class TimeoutException extends GatewayException
{
}

/**
 * The gateway has refused the login, as for a wrong secret, or the call. The code is 3.
 */
class RefusedException extends GatewayException
{
}

/**
 * The call was given something wrong, such as a client_id that is none. The code is 4.
 */
class ArgumentException extends GatewayException
{
}

/**
 * What answers is no gateway, or one of another version. The code is 5.
 */
class ProtocolException extends GatewayException
{
}
