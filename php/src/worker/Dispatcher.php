<?php

namespace PushGateway\Worker;

use Gateway;

/** Calls the program's handler for one event after the other. */
final class Dispatcher
{
    private const METHODS = [
        'connect' => 'onConnect',
        'handshake' => 'onWebSocketConnect',
        'message' => 'onMessage',
        'close' => 'onClose',
    ];

    private Sessions $sessions;

    /** @param class-string $handler */
    public function __construct(private string $handler)
    {
        $this->sessions = new Sessions();
    }

    /** @param array<string, mixed> $server */
    public function handle(string $kind, string $clientId, array $server, string $session, string $body): void
    {
        $_SERVER = $server;
        $bytes = $this->sessions->latest($clientId, $session);
        // Null where there is none, as in GatewayWorker.
        $before = $_SESSION = $bytes === '' ? null : (unserialize($bytes) ?: null);
        match ($kind) {
            'message' => $this->call('onMessage', $clientId, $body),
            'handshake' => $this->call('onWebSocketConnect', $clientId, unserialize($body, ['allowed_classes' => false])),
            default => $this->call(self::METHODS[$kind], $clientId),
        };
        if ($kind === 'close') {
            $this->sessions->forget($clientId);
        } elseif ($_SESSION !== $before) {
            $this->keep($clientId, $bytes);
        }
    }

    /** An exception ends the event, and nothing else. */
    public function call(string $method, mixed ...$arguments): void
    {
        try {
            if (is_callable([$this->handler, $method])) {
                [$this->handler, $method](...$arguments);
            }
        } catch (\Throwable $thrown) {
            Log::write("{$this->handler}::$method(): $thrown");
        }
    }

    private function keep(string $clientId, string $before): void
    {
        try {
            if ($_SESSION !== null && !is_array($_SESSION)) {
                throw new \UnexpectedValueException('$_SESSION must be an array, not ' . get_debug_type($_SESSION));
            }
            $now = $_SESSION === null ? '' : serialize($_SESSION);
            Gateway::setSocketSession($clientId, $now);
            $this->sessions->written($clientId, $before, $now);
        } catch (\Throwable $thrown) {
            Log::write("the session of $clientId was not kept: $thrown");
        }
    }
}
