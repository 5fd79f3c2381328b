<?php

declare(strict_types=1);

namespace PushGateway\Yii2;

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
 * It has every method of class Gateway. Nothing is asked of the gateway before the first call.
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
 * @method ?string lastError()
 * @method array<string, int|string|null> stats()
 */
class Gateway extends Component
{
    /** A {@see SendEvent} before something is sent, which a handler can change or hold back. */
    public const EVENT_BEFORE_SEND = 'beforeSend';
    /** A {@see SendEvent} after something was sent. */
    public const EVENT_AFTER_SEND = 'afterSend';
    /** A {@see SendEvent} with its error when something could not be sent and {@see $onError} is `log`. */
    public const EVENT_SEND_FAILED = 'sendFailed';
    /** A {@see CallEvent} after each call, one that failed included. */
    public const EVENT_AFTER_CALL = 'afterCall';

    /**
     * @var string|string[]|null where PHP reaches the gateway: `host:port`, `unix:///path`, `tls://host:port`, or several; null
     * is what php.ini says
     */
    public string|array|null $registerAddress = null;

    /** The `secret_key` of the gateway; null is what php.ini says. */
    public ?string $secretKey = null;

    /** What connect tokens are signed with; null is what php.ini says, and in the end a key made of the secret. */
    public ?string $tokenKey = null;

    /** A file, or its alias, whose first line is the secret key. PHP-FPM hands no environment on, but reads files. */
    public ?string $secretKeyFile = null;

    /** The same for the key of tokens. */
    public ?string $tokenKeyFile = null;

    /** How many seconds a call waits at most; null is what php.ini says. */
    public int|float|null $connectTimeout = null;

    /**
     * What a send does that fails, as while the gateway is down. `log`: Yii's log and {@see EVENT_SEND_FAILED} have it, and
     * the request goes on, since what it has saved is saved. `throw`: the exception is the caller's. All other calls throw.
     */
    public string $onError = self::ON_ERROR_LOG;

    public const ON_ERROR_LOG = 'log';
    public const ON_ERROR_THROW = 'throw';

    /**
     * @var class-string|null the class that is called; null is the extension's, or where there is none that of the package
     * workerman/gatewayclient
     */
    public ?string $backend = null;

    /** @var array<class-string, array<string, mixed>> what the classes were set to before any component changed it */
    private static array $defaults = [];

    public function init(): void
    {
        parent::init();
        $this->backend ??= match (true) {
            extension_loaded('gateway') => \PushGateway\Gateway::class,
            class_exists(\GatewayClient\Gateway::class) => \GatewayClient\Gateway::class,
            default => throw new InvalidConfigException(
                'The extension gateway is not loaded. Install it, or the package workerman/gatewayclient.'
            ),
        };
        if (!class_exists($this->backend)) {
            throw new InvalidConfigException(static::class . "::\$backend: there is no class $this->backend.");
        }
        self::$defaults[$this->backend] ??= array_intersect_key(
            (new \ReflectionClass($this->backend))->getStaticProperties(),
            array_flip(['registerAddress', 'secretKey', 'tokenKey', 'connectTimeout'])
        );
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
        $this->secretKey = $this->key('secretKey', $this->secretKey, $this->secretKeyFile);
        $this->tokenKey = $this->key('tokenKey', $this->tokenKey, $this->tokenKeyFile);
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
     * @param mixed $message a string as it is, anything else as JSON
     * @param string|string[]|null $exclude client_ids that do not get it
     * @param string|int|array<string|int>|null $excludeGroup groups whose members do not get it
     * @param bool|null $binary whether websocket clients get it as binary, or as text; null is as the server is set
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
     * @param mixed $message a string as it is, anything else as JSON
     * @param bool|null $binary whether a websocket client gets it as binary, or as text; null is as the server is set
     */
    public function sendToClient(string $clientId, mixed $message, bool $raw = false, ?bool $binary = null): bool
    {
        return (bool) $this->send('sendToClient', $clientId, $message, compact('raw', 'binary'));
    }

    /**
     * To the client whose event is being handled.
     *
     * @param mixed $message a string as it is, anything else as JSON
     * @param bool|null $binary whether a websocket client gets it as binary, or as text; null is as the server is set
     */
    public function sendToCurrentClient(mixed $message, bool $raw = false, ?bool $binary = null): bool
    {
        return (bool) $this->send('sendToCurrentClient', null, $message, compact('raw', 'binary'));
    }

    /**
     * @param string|int|array<string|int> $group
     * @param mixed $message a string as it is, anything else as JSON
     * @param string|string[]|null $exclude client_ids that do not get it
     * @param string|int|array<string|int>|null $excludeGroup groups whose members do not get it
     * @param bool|null $binary whether websocket clients get it as binary, or as text; null is as the server is set
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
     * @param mixed $message a string as it is, anything else as JSON
     * @param string[]|null $only client_ids; null is everybody
     * @param string|string[]|null $exclude client_ids that do not get it
     * @param string|int|array<string|int>|null $excludeGroup groups whose members do not get it
     * @param bool|null $binary whether websocket clients get it as binary, or as text; null is as the server is set
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
     * Closes all connections of a uid, or of each of several, once everything sent to them has gone out.
     *
     * @param string|int|array<string|int> $uid
     * @param mixed $message what they get before: a string as it is, anything else but null as JSON
     */
    public function closeUid(string|int|array $uid, mixed $message = null): void
    {
        $this->close('closeUid', [$uid], $message);
    }

    /**
     * Closes a connection once everything sent to it has gone out.
     *
     * @param mixed $message what it gets before: a string as it is, anything else but null as JSON
     */
    public function closeClient(string $clientId, mixed $message = null): bool
    {
        return (bool) $this->close('closeClient', [$clientId], $message);
    }

    /**
     * The same for the client whose event is being handled.
     *
     * @param mixed $message what it gets before: a string as it is, anything else but null as JSON
     */
    public function closeCurrentClient(mixed $message = null): bool
    {
        return (bool) $this->close('closeCurrentClient', [], $message);
    }

    /**
     * A connect token: `new WebSocket(url + '?token=' + token)` is bound to the uid at once.
     *
     * @param string|int|null $uid null is the user who is logged in
     * @param int $ttl for how many seconds it is good
     * @param array<string|int> $groups to join at once
     * @param array<mixed> $session whoever has the token can read it
     * @param bool $once it is good for one connection only
     */
    public function token(
        string|int|null $uid = null,
        int $ttl = 3600,
        array $groups = [],
        array $session = [],
        bool $once = false
    ): string {
        if ($uid === null) {
            $user = Yii::$app->get('user', false);
            $uid = $user instanceof User ? $user->getId() : null;
        }
        if ($uid === null) {
            throw new InvalidCallException('Nobody is logged in, so a token needs a uid.');
        }
        if (method_exists((string) $this->backend, 'token')) {
            /** @var string $token */
            $token = $this->observed('token', [$uid, $ttl, $groups, $session, $once]);
            return $token;
        }
        return (new ConnectToken($uid, $ttl, $groups, $session, $once))->sign($this->tokenKey, $this->secretKey);
    }

    /** Whether the client_id was given to whoever knows the proof; both may be whatever a page has posted. */
    public function isClientProof(mixed $clientId, mixed $proof): bool
    {
        if (!method_exists((string) $this->backend, 'isClientProof')) {
            throw new NotSupportedException(
                'Only the extension gateway can check the proof of a client_id. Install it, or use connect tokens instead.'
            );
        }
        return $this->observed('isClientProof', [$clientId, $proof]) === true;
    }

    /** @param array<mixed> $params */
    public function __call($name, $params)
    {
        if (method_exists((string) $this->backend, $name)) {
            return $this->observed($name, $params);
        }
        return parent::__call($name, $params);
    }

    /** The first line of the file, as gateway-server reads the same file. */
    private function key(string $setting, ?string $key, ?string $file): ?string
    {
        if ($file === null) {
            return $key;
        }
        if ($key !== null) {
            throw new InvalidConfigException(static::class . ": \$$setting and \${$setting}File are both set. Keep one.");
        }
        $path = (string) Yii::getAlias($file);
        $read = is_file($path) ? @file_get_contents($path) : false;
        $line = strtok((string) $read, "\r\n");
        if ($line === false || trim($line) === '') {
            $why = match (true) {
                !is_file($path) => 'there is no such file',
                $read === false => 'this user may not read it',
                default => 'it is empty',
            };
            throw new InvalidConfigException(static::class . "::\${$setting}File: $path: $why.");
        }
        return $line;
    }

    /** Gives the class these settings, which are shared by the process: another component may have set others. */
    public function apply(): void
    {
        $backend = $this->backend;
        foreach (self::$defaults[$backend] as $setting => $default) {
            $backend::$$setting = $this->$setting ?? $default;
        }
    }

    /** @param array<mixed> $arguments */
    protected function call(string $method, array $arguments): mixed
    {
        $this->apply();
        return (new Backend((string) $this->backend))->call($method, $arguments);
    }

    /**
     * Calls, and tells those who listen.
     *
     * @param array<mixed> $arguments
     * @param int|null $bytes of the message, where there is one
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
            // It is handed on, once those who listen have heard of it.
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
     * @param array<string, mixed> $options in the order of the class's arguments
     */
    private function send(string $method, string|int|array|null $to, mixed $message, array $options): mixed
    {
        $isGiven = fn (mixed $value, string $name) => $value !== ($name === 'raw' ? false : null);
        $given = array_filter($options, $isGiven, ARRAY_FILTER_USE_BOTH);
        $event = new SendEvent(['method' => $method, 'to' => $to, 'message' => $message, 'options' => $given]);
        $this->trigger(self::EVENT_BEFORE_SEND, $event);
        if (!$event->isValid) {
            return null;
        }
        $message = self::text($event->message);
        $profile = $event->describe();
        $arguments = [...$event->to === null ? [] : [$event->to], $message, ...array_values($options)];
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

    /** @param list<mixed> $whom */
    private function close(string $method, array $whom, mixed $message): mixed
    {
        $last = $message === null ? null : self::text($message);
        return $this->observed($method, [...$whom, $last], $last === null ? null : strlen($last));
    }

    private static function text(mixed $message): string
    {
        return is_string($message) ? $message : Json::encode($message);
    }

    /** A mistake in the program, as an \Error is, is thrown whatever {@see $onError} says. */
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
