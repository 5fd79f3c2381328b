<?php

declare(strict_types=1);

namespace PushGateway\Worker;

use PushGateway\Gateway;
use PushGateway\GatewayEvents;

/** Calls the methods of the program's handler class for one event after the other. */
final class Dispatcher
{
    private const METHODS = [
        'connect' => 'onConnect',
        'handshake' => 'onWebSocketConnect',
        'move' => 'onMove',
        'message' => 'onMessage',
        'close' => 'onClose',
    ];

    private SessionHistory $history;
    private string $clientId = '';
    /** The current client's session as the gateway has it: serialized, and as a value. */
    private string $storedBytes = '';
    private mixed $stored = null;

    /** @param class-string $handler */
    public function __construct(private string $handler, private Limits $limits)
    {
        $this->history = new SessionHistory();
        GatewayEvents::onSession($this->onSessionChange(...));
    }

    /** Whether the program wants to hear of clients that come from another node of the cluster with a new client_id. */
    public function takesMoves(): bool
    {
        // A class with __callStatic() can be called by any name, and has not got the method.
        return method_exists($this->handler, 'onMove') && is_callable([$this->handler, 'onMove']);
    }

    /** Whether the program wants to hear what has become of messages in the inbox. */
    public function takesNotices(): bool
    {
        foreach (['onReceipt', 'onUndelivered'] as $method) {
            if (method_exists($this->handler, $method) && is_callable([$this->handler, $method])) {
                return true;
            }
        }
        return false;
    }

    /**
     * Tells the program what has become of messages in the inbox, by several calls. There is no client and no session meanwhile.
     *
     * @param list<array{uid: string, id: string, device: string, signed: bool, event: 'received'|'read', at: int}> $receipts
     * @param list<array{uid: string, id: string, stored: int}> $undelivered
     * @param \Closure(): void $afterEach is called after each call, which may have taken long
     */
    public function notify(array $receipts, array $undelivered, \Closure $afterEach): void
    {
        $_SESSION = null;
        if ($receipts !== []) {
            $this->callWithinLimits('onReceipt', $receipts);
            $afterEach();
        }
        foreach ($undelivered as $message) {
            $this->callWithinLimits('onUndelivered', $message['uid'], $message['id']);
            $afterEach();
        }
    }

    /** @param array<string, mixed> $server */
    public function handle(string $kind, string $clientId, array $server, string $session, string $body): void
    {
        $_SERVER = $server;
        $this->clientId = $clientId;
        $this->storedBytes = $this->history->latest($clientId, $session);
        // A client without a session has null here, as in GatewayWorker.
        $this->stored = $_SESSION = $this->storedBytes === '' ? null : (GatewayEvents::readSession($this->storedBytes) ?: null);
        match ($kind) {
            'message' => $this->callWithinLimits('onMessage', $clientId, $body),
            'move' => $this->callWithinLimits('onMove', $body, $clientId),
            'handshake' => $this->callWithinLimits(
                'onWebSocketConnect',
                $clientId,
                unserialize($body, ['allowed_classes' => false])
            ),
            default => $this->callWithinLimits(self::METHODS[$kind], $clientId),
        };
        if ($kind === 'close') {
            $this->history->forget($clientId);
        } elseif ($_SESSION !== $this->stored) {
            $this->store($_SESSION);
        }
    }

    public function runTimers(): void
    {
        $_SESSION = null;
        Timer::run(function (callable $func, array $arguments): void {
            $this->limits->begin();
            try {
                // PHP itself calls the function, by the loose rules that the program may have been written for.
                call_user_func_array($func, $arguments);
            } catch (\Throwable $thrown) {
                Log::write("a timer: $thrown");
            }
            $this->limits->end();
        });
    }

    private function callWithinLimits(string $method, mixed ...$arguments): void
    {
        $this->limits->begin();
        $this->call($method, ...$arguments);
        $this->limits->end();
    }

    /** Calls the method if the class has it. An exception is logged and ends this call alone. */
    public function call(string $method, mixed ...$arguments): void
    {
        try {
            $handle = [$this->handler, $method];
            if (is_callable($handle)) {
                call_user_func_array($handle, $arguments);
            }
        } catch (\Throwable $thrown) {
            Log::write("{$this->handler}::$method(): $thrown");
        }
    }

    /**
     * Takes over what the program has changed by Gateway::setSession() or updateSession(), not by $_SESSION.
     *
     * @param array<mixed> $session
     */
    private function onSessionChange(bool $isWhole, array $session): void
    {
        $this->stored = $_SESSION = $isWhole ? $session : array_replace_recursive((array) $_SESSION, $session);
        $this->record(GatewayEvents::writeSession($_SESSION));
    }

    /** @param mixed $session what the program has left in $_SESSION, which may be anything */
    private function store(mixed $session): void
    {
        try {
            if ($session !== null && !is_array($session)) {
                throw new \UnexpectedValueException('$_SESSION must be an array, not ' . get_debug_type($session));
            }
            $now = $session === null ? '' : GatewayEvents::writeSession($session);
            Gateway::setSocketSession($this->clientId, $now);
            $this->record($now);
        } catch (\Throwable $thrown) {
            Log::write("the session of $this->clientId was not kept: $thrown");
        }
    }

    private function record(string $now): void
    {
        $this->history->add($this->clientId, $this->storedBytes, $now);
        $this->storedBytes = $now;
    }
}
