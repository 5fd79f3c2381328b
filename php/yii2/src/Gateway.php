<?php

declare(strict_types=1);

namespace PushGateway\Yii2;

use PushGateway\Backend\Backend;
use PushGateway\Backend\ClassBackend;
use PushGateway\Backend\HttpBackend;
use PushGateway\Exception\InvalidConfiguration;
use PushGateway\Exception\UnsupportedCall;
use PushGateway\Http\StreamTransport;
use PushGateway\KeyFile;
use Yii;
use yii\base\Component;
use yii\base\InvalidCallException;
use yii\base\InvalidConfigException;
use yii\base\NotSupportedException;
use yii\helpers\Json;
use yii\web\User;

/**
 * The push gateway as a component of the application:
 *
 *     'components' => [
 *         'gateway' => [
 *             'class' => \PushGateway\Yii2\Gateway::class,
 *             'registerAddress' => '127.0.0.1:1238',
 *             'tokenKeyFile' => '@app/config/token-key',
 *         ],
 *     ],
 *
 *     Yii::$app->gateway->sendToUid($userId, ['type' => 'comment', 'text' => $text]);
 *
 * It has every method of class Gateway. It does not connect before the first call.
 *
 * @method void bindUid(string $client_id, string|int $uid)
 * @method void unbindUid(string $client_id, string|int $uid)
 * @method void joinGroup(string $client_id, string|int $group)
 * @method void leaveGroup(string $client_id, string|int $group)
 * @method ?false ungroup(string|int $group)
 * @method bool destroyClient(string $client_id)
 * @method bool destroyCurrentClient()
 * @method int isOnline(string $client_id)
 * @method int isUidOnline(string|int $uid)
 * @method array<int|string, int> isUidsOnline(array<string|int> $uids)
 * @method list<string> getClientIdByUid(string|int $uid)
 * @method array<int|string, list<string>> batchGetClientIdByUid(array<string|int> $uids)
 * @method ?string getUidByClientId(string $client_id)
 * @method ?string getClientProof(string $client_id)
 * @method ?array<string, int|string|list<string>|null> getClientInfo(string $client_id)
 * @method int getAllClientIdCount()
 * @method int getClientIdCountByGroup(string|int $group = '')
 * @method array<int|string, int> batchGetClientIdCountByGroup(array<string|int> $groups)
 * @method array<string, string> getAllClientIdList()
 * @method array<string, string> getClientIdListByGroup(string|int|array<string|int> $group)
 * @method int getAllUidCount()
 * @method array<int|string, string> getAllUidList()
 * @method array<int|string, string> getUidListByGroup(string|int|array<string|int> $group)
 * @method int getUidCountByGroup(string|int|array<string|int> $group)
 * @method array<int|string, int|string> getAllGroupIdList()
 * @method array<int|string, array<int|string, string>> getAllGroupUidList()
 * @method array<int|string, int> getAllGroupUidCount()
 * @method array<int|string, array<string, string>> getAllGroupClientIdList()
 * @method array<int|string, int> getAllGroupClientIdCount()
 * @method array<mixed>|null getSession(string $client_id)
 * @method void setSession(string $client_id, array<mixed> $session)
 * @method void updateSession(string $client_id, array<mixed> $session)
 * @method bool setSocketSession(string $client_id, string $session_str)
 * @method array<string, array<mixed>> getAllClientSessions(string|int $group = '')
 * @method array<string, array<mixed>> getClientSessionsByGroup(string|int|array<string|int> $group)
 * @method bool flush(?float $timeout = null)
 * @method \PushGateway\GatewayFuture later(string $method, array $arguments = [])
 * @method ?string lastError()
 * @method array<string, int|string|null> stats()
 */
class Gateway extends Component
{
    /** Raised before a send with a {@see SendEvent}, in which a handler can change the message or hold it back. */
    public const EVENT_BEFORE_SEND = 'beforeSend';
    /** Raised after a send with its {@see SendEvent}. */
    public const EVENT_AFTER_SEND = 'afterSend';
    /** Raised for a failed send, with a {@see SendEvent} that has the error, when {@see $onError} is `log`. */
    public const EVENT_SEND_FAILED = 'sendFailed';
    /** Raised after each call with a {@see CallEvent}, also when the call has failed. */
    public const EVENT_AFTER_CALL = 'afterCall';

    /**
     * @var string|string[]|null where PHP reaches the gateway: `host:port`, `unix:///path`, `tls://host:port`, or several; null
     * stands for the address in php.ini
     */
    public string|array|null $registerAddress = null;

    /** The `secret_key` of the gateway; null stands for the one in php.ini. */
    public ?string $secretKey = null;

    /** The key that signs connect tokens; null stands for the one in php.ini, or else for a key derived from the secret. */
    public ?string $tokenKey = null;

    /** The path or alias of a file whose first line is the secret key. PHP-FPM hands no environment on, but can read files. */
    public ?string $secretKeyFile = null;

    /** The path or alias of a file whose first line is the key of tokens. */
    public ?string $tokenKeyFile = null;

    /** How many seconds a call waits for the gateway at most; null stands for the time in php.ini. */
    public int|float|null $connectTimeout = null;

    /**
     * What a send does when it fails, for instance while the gateway is down. With `log` it writes the error to Yii's log, raises
     * {@see EVENT_SEND_FAILED} and lets the request go on, since what the request has saved is saved. With `throw` it throws the
     * exception. All other calls throw in any case.
     */
    public string $onError = self::ON_ERROR_LOG;

    public const ON_ERROR_LOG = 'log';
    public const ON_ERROR_THROW = 'throw';

    /**
     * @var class-string|null the class that is called; null stands for the extension's class, or where the extension is missing
     * for that of the package workerman/gatewayclient
     */
    public ?string $backend = null;

    /**
     * The HTTP API of the server, such as `http://127.0.0.1:1239`, by which all calls go in place of {@see $backend}: for
     * machines that have no extension, such as a Mac or one with Windows. {@see $registerAddress} is for nothing then.
     */
    public ?string $operationsUrl = null;

    /** The `operations_token` of the server, for {@see $operationsUrl}. */
    public ?string $operationsToken = null;

    /** The path or alias of a file whose first line is that token. */
    public ?string $operationsTokenFile = null;

    private ?StreamTransport $transport = null;

    public function init(): void
    {
        parent::init();
        $this->operationsToken = $this->readKey('operationsToken', $this->operationsToken, $this->operationsTokenFile);
        if ($this->operationsUrl !== null) {
            $this->transport = $this->makeTransport($this->operationsUrl);
        }
        $this->backend ??= match (true) {
            $this->transport !== null => HttpBackend::class,
            extension_loaded('gateway') => \PushGateway\Gateway::class,
            class_exists(\GatewayClient\Gateway::class) => \GatewayClient\Gateway::class,
            default => throw new InvalidConfigException(
                'The extension gateway is not loaded. Install it or the package workerman/gatewayclient, or name the HTTP API '
                . 'of the server in $operationsUrl.'
            ),
        };
        if (!class_exists($this->backend)) {
            throw new InvalidConfigException(static::class . "::\$backend: there is no class $this->backend.");
        }
        foreach ($this->registerAddress === null ? [] : (array) $this->registerAddress as $address) {
            if (!is_string($address) || !preg_match('~^(unix:///?.+|(tcp://|tls://)?[^/]+:\d{1,5})$~', $address)) {
                throw new InvalidConfigException(
                    static::class . '::$registerAddress: ' . Json::encode($address) . ' is no address such as 127.0.0.1:1238.'
                );
            }
        }
        if ($this->registerAddress === []) {
            throw new InvalidConfigException(static::class . '::$registerAddress is empty.');
        }
        if (!in_array($this->onError, [self::ON_ERROR_LOG, self::ON_ERROR_THROW], true)) {
            throw new InvalidConfigException(
                static::class . '::$onError: ' . Json::encode($this->onError) . ' is neither "log" nor "throw".'
            );
        }
        $this->secretKey = $this->readKey('secretKey', $this->secretKey, $this->secretKeyFile);
        $this->tokenKey = $this->readKey('tokenKey', $this->tokenKey, $this->tokenKeyFile);
        if ($this->tokenKey === '') {
            throw new InvalidConfigException(
                static::class . '::$tokenKey is empty. If it comes of getenv(): PHP-FPM hands no environment on unless its pool '
                . 'has clear_env = no. Name a file in $tokenKeyFile, or leave both out to have it as in php.ini.'
            );
        }
        if ($this->connectTimeout !== null && $this->connectTimeout <= 0) {
            throw new InvalidConfigException(static::class . '::$connectTimeout must be more than 0 seconds.');
        }
    }

    /**
     * @param string|int|array<string|int> $uid
     * @param mixed $message a string is sent as it is, anything else as JSON
     * @param string|string[]|null $exclude client_ids that do not get it
     * @param string|int|array<string|int>|null $excludeGroup groups whose members do not get it
     * @param bool|null $binary whether websocket clients get it as binary or as text; null leaves that to the server's setting
     */
    public function sendToUid(
        string|int|array $uid,
        mixed $message,
        bool $raw = false,
        string|array|null $exclude = null,
        string|int|array|null $excludeGroup = null,
        ?bool $binary = null
    ): void {
        $this->send('sendToUid', $uid, $message, compact('raw', 'exclude', 'excludeGroup', 'binary'));
    }

    /**
     * @param mixed $message a string is sent as it is, anything else as JSON
     * @param bool|null $binary whether a websocket client gets it as binary or as text; null leaves that to the server's setting
     */
    public function sendToClient(string $clientId, mixed $message, bool $raw = false, ?bool $binary = null): bool
    {
        return (bool) $this->send('sendToClient', $clientId, $message, compact('raw', 'binary'));
    }

    /**
     * Sends to the client whose event is being handled.
     *
     * @param mixed $message a string is sent as it is, anything else as JSON
     * @param bool|null $binary whether a websocket client gets it as binary or as text; null leaves that to the server's setting
     */
    public function sendToCurrentClient(mixed $message, bool $raw = false, ?bool $binary = null): bool
    {
        return (bool) $this->send('sendToCurrentClient', null, $message, compact('raw', 'binary'));
    }

    /**
     * @param string|int|array<string|int> $group
     * @param mixed $message a string is sent as it is, anything else as JSON
     * @param string|string[]|null $exclude client_ids that do not get it
     * @param string|int|array<string|int>|null $excludeGroup groups whose members do not get it
     * @param bool|null $binary whether websocket clients get it as binary or as text; null leaves that to the server's setting
     */
    public function sendToGroup(
        string|int|array $group,
        mixed $message,
        string|array|null $exclude = null,
        bool $raw = false,
        string|int|array|null $excludeGroup = null,
        ?bool $binary = null
    ): void {
        $this->send('sendToGroup', $group, $message, compact('exclude', 'raw', 'excludeGroup', 'binary'));
    }

    /**
     * @param mixed $message a string is sent as it is, anything else as JSON
     * @param string[]|null $only client_ids; null stands for everybody
     * @param string|string[]|null $exclude client_ids that do not get it
     * @param string|int|array<string|int>|null $excludeGroup groups whose members do not get it
     * @param bool|null $binary whether websocket clients get it as binary or as text; null leaves that to the server's setting
     */
    public function sendToAll(
        mixed $message,
        ?array $only = null,
        string|array|null $exclude = null,
        bool $raw = false,
        string|int|array|null $excludeGroup = null,
        ?bool $binary = null
    ): void {
        $this->send('sendToAll', null, $message, compact('only', 'exclude', 'raw', 'excludeGroup', 'binary'));
    }

    /**
     * Sends to all connections of a uid, or of each of several, each once, and says how many have taken it.
     *
     * @param string|int|array<string|int> $uid
     * @param mixed $message a string is sent as it is, anything else as JSON
     * @return array{taken: int, waiting: int, gone: int, silent: list<string>}|null the connections whose system has taken
     * the message, those for which it waits, those that have gone meanwhile, and the nodes of a cluster that did not answer;
     * null where a handler has held it back or the call has failed
     */
    public function sendToUidCounted(string|int|array $uid, mixed $message): ?array
    {
        /** @var array{taken: int, waiting: int, gone: int, silent: list<string>}|false|null $counts */
        $counts = $this->send('sendToUidCounted', $uid, $message, []);
        return $counts ?: null;
    }

    /**
     * Sends to all members of a group, or of each of several, each once, and says how many have taken it.
     *
     * @param string|int|array<string|int> $group
     * @param mixed $message a string is sent as it is, anything else as JSON
     * @param string|string[]|null $exclude client_ids that do not get it
     * @return array{taken: int, waiting: int, gone: int, silent: list<string>}|null as for {@see sendToUidCounted()}
     */
    public function sendToGroupCounted(string|int|array $group, mixed $message, string|array|null $exclude = null): ?array
    {
        /** @var array{taken: int, waiting: int, gone: int, silent: list<string>}|false|null $counts */
        $counts = $this->send('sendToGroupCounted', $group, $message, compact('exclude'));
        return $counts ?: null;
    }

    /**
     * Asks the page of a connection, or all pages of a uid, and waits for their answers.
     *
     * @param string|int $clientIdOrUid twenty hex digits are a client_id
     * @param mixed $message a string is sent as it is, anything else as JSON
     * @param float|null $timeout how many seconds to wait at most, up to the connect timeout, which null stands for
     * @return array<string, string|null> the answer of each, by client_id; null for one that has not answered. It is empty, too,
     * where a handler has held the question back or the call has failed
     */
    public function ask(string|int $clientIdOrUid, mixed $message, ?float $timeout = null): array
    {
        /** @var array<string, string|null>|false|null $answers */
        $answers = $this->send('ask', $clientIdOrUid, $message, compact('timeout'));
        return $answers ?: [];
    }

    /**
     * Keeps a message until each device of a uid, or of each of several, has it: also for those that are not there. The server
     * needs its setting `store`. What it cannot keep is told of by a warning of the extension at a later call or at the request's
     * end: {@see receipt()} says at once whether a message is kept.
     *
     * @param string|int|array<string|int> $uid
     * @param mixed $message a string is delivered as it is, anything else as JSON
     * @param array<string, mixed> $options `ttl`, for how many seconds the message waits; `id`, by which it is known when it is
     * delivered again; `replace`, a key of whose messages only the newest is kept; `new_device`, which is `all` if devices that
     * come for the first time get it in any case; `binary`, whether plain websockets get it as binary or as text
     * @return string|null the id of the message; null where a handler has held it back or the call has failed
     */
    public function deliverToUid(string|int|array $uid, mixed $message, array $options = []): ?string
    {
        $id = $this->send('deliverToUid', $uid, $message, $options, [$options]);
        return is_string($id) ? $id : null;
    }

    /**
     * Says what has become of a message that was delivered. Times are milliseconds since 1970; a null says that this has not
     * happened. What a page says it has received or its user has read is a claim.
     *
     * @return list<array{uid: string, stored: int, expires: int, waiting: bool, devices: list<array{
     *     device: string, signed: bool, written: ?int, received: ?int, read: ?int
     * }>}> an entry for each uid; `[]` when the id is unknown, or its time has ended
     */
    public function receipt(string $id): array
    {
        /** @var list<array{uid: string, stored: int, expires: int, waiting: bool, devices: list<array{
         *     device: string, signed: bool, written: ?int, received: ?int, read: ?int
         * }>}> $receipts */
        $receipts = $this->observed('receipt', [$id]);
        return $receipts;
    }

    /**
     * Says what waits for a uid, and for each of its devices. `lost` counts messages that had to go before a device had them,
     * and `seen` is when it was last here, in milliseconds since 1970 and to within an hour.
     *
     * @return array{messages: int, bytes: int, devices: list<array{
     *     device: string, signed: bool, waiting: int, lost: int, seen: int
     * }>}|null null when the gateway knows nothing of the uid
     */
    public function inboxOf(string|int $uid): ?array
    {
        /** @var array{messages: int, bytes: int, devices: list<array{
         *     device: string, signed: bool, waiting: int, lost: int, seen: int
         * }>}|null $inbox */
        $inbox = $this->observed('inboxOf', [$uid]);
        return $inbox;
    }

    /** Forgets all that was delivered to a uid, its devices and what they have got. */
    public function forget(string|int $uid): void
    {
        $this->observed('forget', [$uid]);
    }

    /**
     * Closes all connections of a uid, or of each of several, once everything sent to them has gone out.
     *
     * @param string|int|array<string|int> $uid
     * @param mixed $message what they get before: a string is sent as it is, null is nothing, anything else is sent as JSON
     */
    public function closeUid(string|int|array $uid, mixed $message = null): void
    {
        $this->close('closeUid', [$uid], $message);
    }

    /**
     * Closes a connection once everything sent to it has gone out.
     *
     * @param mixed $message what it gets before: a string is sent as it is, null is nothing, anything else is sent as JSON
     */
    public function closeClient(string $clientId, mixed $message = null): bool
    {
        return (bool) $this->close('closeClient', [$clientId], $message);
    }

    /**
     * Closes the connection of the client whose event is being handled, once everything sent to it has gone out.
     *
     * @param mixed $message what it gets before: a string is sent as it is, null is nothing, anything else is sent as JSON
     */
    public function closeCurrentClient(mixed $message = null): bool
    {
        return (bool) $this->close('closeCurrentClient', [], $message);
    }

    /**
     * Makes a connect token. `new WebSocket(url + '?token=' + token)` is bound to the uid at once.
     *
     * @param string|int|null $uid null stands for the user who is logged in
     * @param int $ttl for how many seconds the token is valid
     * @param array<string|int> $groups the groups that the connection joins at once
     * @param array<mixed> $session the connection's session, which everybody who has the token can read
     * @param bool $once whether the token is valid for one connection only
     */
    public function token(
        string|int|null $uid = null,
        int $ttl = 3600,
        array $groups = [],
        array $session = [],
        bool $once = false
    ): string {
        return $this->madeToken($uid, $ttl, $groups, $session, $once, []);
    }

    /**
     * Makes a connect token that names the page's device, for which messages are kept by {@see deliverToUid()}. It is a method of
     * its own, since a class of the application may have a {@see token()} with the arguments of that one.
     *
     * @param string $device the name of the device, 1 to 64 bytes
     * @param string|int|null $uid null stands for the user who is logged in
     * @param int $ttl for how many seconds the token is valid
     * @param array<string|int> $groups the groups that the connection joins at once
     * @param array<mixed> $session the connection's session, which everybody who has the token can read
     * @param bool $once whether the token is valid for one connection only
     */
    public function tokenForDevice(
        string $device,
        string|int|null $uid = null,
        int $ttl = 3600,
        array $groups = [],
        array $session = [],
        bool $once = false
    ): string {
        return $this->madeToken($uid, $ttl, $groups, $session, $once, [$device]);
    }

    /**
     * @param array<string|int> $groups
     * @param array<mixed> $session
     * @param array{}|array{string} $device
     */
    private function madeToken(
        string|int|null $uid,
        int $ttl,
        array $groups,
        array $session,
        bool $once,
        array $device
    ): string {
        if ($uid === null) {
            $user = Yii::$app->get('user', false);
            $uid = $user instanceof User ? $user->getId() : null;
        }
        if ($uid === null) {
            throw new InvalidCallException('Nobody is logged in, so a token needs a uid.');
        }
        if ($this->transport === null && $this->way()->has('token')) {
            /** @var string $token */
            $token = $this->observed('token', [$uid, $ttl, $groups, $session, $once, ...$device]);
            return $token;
        }
        return (new ConnectToken($uid, $ttl, $groups, $session, $once, ...$device))->sign($this->tokenKey, $this->secretKey);
    }

    /** Whether the proof is that of the client_id, which only the client's page knows. Both may be anything that was posted. */
    public function isClientProof(mixed $clientId, mixed $proof): bool
    {
        if (!$this->way()->has('isClientProof')) {
            throw new NotSupportedException(
                'Only the extension gateway can check the proof of a client_id. Install it, or use connect tokens instead.'
            );
        }
        return $this->observed('isClientProof', [$clientId, $proof]) === true;
    }

    /** @param array<mixed> $params */
    public function __call($name, $params)
    {
        if ($this->way()->has($name)) {
            return $this->observed($name, $params);
        }
        return parent::__call($name, $params);
    }

    /** Returns the key itself or the first line of the file, which is what gateway-server reads from the same file. */
    private function readKey(string $setting, ?string $key, ?string $file): ?string
    {
        if ($file === null) {
            return $key;
        }
        if ($key !== null) {
            throw new InvalidConfigException(static::class . ": \$$setting and \${$setting}File are both set. Keep one.");
        }
        try {
            return KeyFile::read((string) Yii::getAlias($file));
        } catch (InvalidConfiguration $e) {
            throw new InvalidConfigException(static::class . "::\${$setting}File: {$e->getMessage()}", 0, $e);
        }
    }

    private function makeTransport(string $url): StreamTransport
    {
        try {
            return new StreamTransport($url, $this->operationsToken);
        } catch (InvalidConfiguration $e) {
            throw new InvalidConfigException(static::class . "::\$operationsUrl: {$e->getMessage()}", 0, $e);
        }
    }

    /** Sets the static properties of the class, which all components of the process share and may have set differently. */
    public function apply(): void
    {
        $way = $this->way();
        if ($way instanceof ClassBackend) {
            $way->apply();
        }
    }

    /** The way that calls take, by the settings as they are now. */
    private function way(): Backend
    {
        if ($this->transport !== null) {
            return new HttpBackend($this->transport, (float) ($this->connectTimeout ?? 3), $this->tokenKey, $this->secretKey);
        }

        return new ClassBackend((string) $this->backend, [
            'registerAddress' => $this->registerAddress,
            'secretKey' => $this->secretKey,
            'tokenKey' => $this->tokenKey,
            'connectTimeout' => $this->connectTimeout,
        ]);
    }

    /** @param array<mixed> $arguments */
    protected function call(string $method, array $arguments): mixed
    {
        try {
            return $this->way()->call($method, $arguments);
        } catch (UnsupportedCall $e) {
            throw new NotSupportedException($e->getMessage(), 0, $e);
        }
    }

    /**
     * Calls the method and raises {@see EVENT_AFTER_CALL}.
     *
     * @param array<mixed> $arguments
     * @param int|null $bytes the length of the message; null for calls without a message
     */
    protected function observed(string $method, array $arguments, ?int $bytes = null): mixed
    {
        [$result, $thrown] = $this->attempt($method, $arguments, $bytes);
        if ($thrown !== null) {
            throw $thrown;
        }
        return $result;
    }

    /**
     * @param array<mixed> $arguments
     * @return array{mixed, ?\Throwable} what the call has returned, or what it has thrown
     */
    private function attempt(string $method, array $arguments, ?int $bytes): array
    {
        $result = $thrown = null;
        $began = hrtime(true);
        try {
            $result = $this->call($method, $arguments);
        } catch (\Throwable $thrown) {
            // The caller gets it after the event below.
        }
        if ($this->hasEventHandlers(self::EVENT_AFTER_CALL)) {
            $this->trigger(self::EVENT_AFTER_CALL, new CallEvent([
                'method' => $method,
                'to' => CallEvent::receivers($method, $arguments),
                'bytes' => $bytes,
                'seconds' => (hrtime(true) - $began) / 1e9,
                'error' => $thrown?->getMessage(),
            ]));
        }
        return [$result, $thrown];
    }

    /**
     * @param string|int|array<string|int>|null $to
     * @param array<string, mixed> $options in the order of the class's parameters
     * @param list<mixed>|null $last the arguments behind the message, where they are not the options one by one
     */
    private function send(
        string $method,
        string|int|array|null $to,
        mixed $message,
        array $options,
        ?array $last = null
    ): mixed {
        $isSet = fn (mixed $value, string $name) => $value !== ($name === 'raw' ? false : null);
        $given = array_filter($options, $isSet, ARRAY_FILTER_USE_BOTH);
        $event = new SendEvent(['method' => $method, 'to' => $to, 'message' => $message, 'options' => $given]);
        $this->trigger(self::EVENT_BEFORE_SEND, $event);
        if (!$event->isValid) {
            return null;
        }
        $message = self::text($event->message);
        $profile = $event->describe();
        $arguments = [...$event->to === null ? [] : [$event->to], $message, ...$last ?? array_values($options)];
        Yii::beginProfile($profile, static::class);
        try {
            [$event->result, $thrown] = $this->attempt($method, $arguments, strlen($message));
        } finally {
            Yii::endProfile($profile, static::class);
        }
        if ($thrown !== null) {
            return $this->failed($event, $thrown);
        }
        $this->trigger(self::EVENT_AFTER_SEND, $event);
        return $event->result;
    }

    /** @param list<mixed> $receivers */
    private function close(string $method, array $receivers, mixed $message): mixed
    {
        $last = $message === null ? null : self::text($message);
        return $this->observed($method, [...$receivers, $last], $last === null ? null : strlen($last));
    }

    private static function text(mixed $message): string
    {
        return is_string($message) ? $message : Json::encode($message);
    }

    /** Logs a failed send or throws. A mistake in the program, such as an \Error, is thrown whatever {@see $onError} says. */
    private function failed(SendEvent $event, \Throwable $thrown): bool
    {
        $isMistake = !$thrown instanceof \Exception || $thrown instanceof NotSupportedException;
        if ($this->onError === self::ON_ERROR_THROW || $isMistake) {
            throw $thrown;
        }
        $event->error = $thrown;
        Yii::error($event->describe() . " was not sent: {$thrown->getMessage()}", static::class);
        $this->trigger(self::EVENT_SEND_FAILED, $event);
        return false;
    }
}
