<?php

namespace PushGateway\Worker;

use Gateway;
use GatewayEvents;

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
    private string $clientId = '';
    /** The session as the gateway has it: serialized, and as a value. */
    private string $bytes = '';
    private mixed $kept = null;

    /** @param class-string $handler */
    public function __construct(private string $handler)
    {
        $this->sessions = new Sessions();
        GatewayEvents::onSession($this->sessionHasChanged(...));
    }

    /** @param array<string, mixed> $server */
    public function handle(string $kind, string $clientId, array $server, string $session, string $body): void
    {
        $_SERVER = $server;
        $this->clientId = $clientId;
        $this->bytes = $this->sessions->latest($clientId, $session);
        // Null where there is none, as in GatewayWorker.
        $this->kept = $_SESSION = $this->bytes === '' ? null : (unserialize($this->bytes) ?: null);
        match ($kind) {
            'message' => $this->call('onMessage', $clientId, $body),
            'handshake' => $this->call('onWebSocketConnect', $clientId, unserialize($body, ['allowed_classes' => false])),
            default => $this->call(self::METHODS[$kind], $clientId),
        };
        if ($kind === 'close') {
            $this->sessions->forget($clientId);
        } elseif ($_SESSION !== $this->kept) {
            $this->keep();
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

    /**
     * The program has changed it by the client's name, not by $_SESSION.
     *
     * @param array<mixed> $session
     */
    private function sessionHasChanged(bool $isWhole, array $session): void
    {
        $this->kept = $_SESSION = $isWhole ? $session : array_replace_recursive((array) $_SESSION, $session);
        $this->written(serialize($_SESSION));
    }

    private function keep(): void
    {
        try {
            if ($_SESSION !== null && !is_array($_SESSION)) {
                throw new \UnexpectedValueException('$_SESSION must be an array, not ' . get_debug_type($_SESSION));
            }
            $now = $_SESSION === null ? '' : serialize($_SESSION);
            Gateway::setSocketSession($this->clientId, $now);
            $this->written($now);
        } catch (\Throwable $thrown) {
            Log::write("the session of $this->clientId was not kept: $thrown");
        }
    }

    private function written(string $now): void
    {
        $this->sessions->written($this->clientId, $this->bytes, $now);
        $this->bytes = $now;
    }
}
