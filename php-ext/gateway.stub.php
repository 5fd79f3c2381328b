<?php

/**
 * The classes of the extension `gateway`, for people and for editors. They are compiled into the extension; this file is
 * never loaded. A test compares it with the extension.
 *
 * The methods declare no return types, so that a program's subclass may override them freely.
 */

/**
 * Pushes messages to browsers through a gateway-server.
 *
 * Also known as `GatewayClient\Gateway` and `GatewayWorker\Lib\Gateway`, unless php.ini says `gateway.aliases = 0`.
 *
 * A *client_id* names one connection, as 20 hexadecimal digits. A *uid* is what a program binds connections to, usually
 * a user's id; a *group* is what it gathers connections in. Both are kept as strings, and neither may be empty by PHP's
 * `empty()`: that raises a warning, and nothing is done.
 *
 * Methods that change something return at once. What they hand over is delivered in turn, over a lost connection too;
 * what cannot be delivered is told of by a warning at the request's end. Methods that ask wait for the answer.
 *
 * All methods throw a {@see GatewayException} when the gateway cannot be reached, or a client_id is malformed.
 */
class Gateway
{
    /**
     * Where gateway-server takes calls from PHP: `host:port`, `tcp://host:port`, `[ipv6]:port` or `unix:///path`, or an
     * array of these that are tried in order. Starts each request as `gateway.register_address` of php.ini.
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
     * @param string $message
     * @param string[]|null $client_id_array only to these; an empty list is nobody
     * @param string|string[]|null $exclude_client_id not to these
     * @param bool $raw sends the bytes as they are, without the client protocol's framing
     * @return void
     */
    public static function sendToAll(string $message, mixed $client_id_array = null, mixed $exclude_client_id = null, bool $raw = false)
    {
    }

    /**
     * Sends to one connection.
     *
     * @param bool $raw sends the bytes as they are, without the client protocol's framing
     * @return bool true: the message was handed over
     */
    public static function sendToClient(string $client_id, string $message, bool $raw = false)
    {
    }

    /**
     * Sends to all connections of a uid, or of each of several.
     *
     * @param int|string|array<int|string> $uid
     * @param bool $raw sends the bytes as they are, without the client protocol's framing
     * @return void
     */
    public static function sendToUid(mixed $uid, string $message, bool $raw = false)
    {
    }

    /**
     * Sends to all members of a group, or of each of several. A member of two gets the message twice.
     *
     * @param int|string|array<int|string> $group
     * @param string|string[]|null $exclude_client_id not to these
     * @param bool $raw sends the bytes as they are, without the client protocol's framing
     * @return false|null false when the group is empty
     */
    public static function sendToGroup(mixed $group, string $message, mixed $exclude_client_id = null, bool $raw = false)
    {
    }

    /**
     * Closes a connection once everything sent to it, and then the message, has gone out.
     *
     * @return bool true: the order was handed over
     */
    public static function closeClient(string $client_id, ?string $message = null)
    {
    }

    /**
     * Binds a connection to a uid, in place of the one it may have had.
     *
     * @param int|string $uid
     * @return void
     */
    public static function bindUid(string $client_id, mixed $uid)
    {
    }

    /**
     * Takes a connection's uid from it.
     *
     * @param mixed $uid ignored: a connection has only one
     * @return void
     */
    public static function unbindUid(string $client_id, mixed $uid)
    {
    }

    /**
     * Puts a connection in a group. It may be in many.
     *
     * @param int|string $group
     * @return void
     */
    public static function joinGroup(string $client_id, mixed $group)
    {
    }

    /**
     * Takes a connection out of a group.
     *
     * @param int|string $group
     * @return void
     */
    public static function leaveGroup(string $client_id, mixed $group)
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
}

/**
 * What the methods of {@see Gateway} throw.
 */
class GatewayException extends \Exception
{
}
