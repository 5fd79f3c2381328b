<?php

declare(strict_types=1);

namespace PushGateway\Worker;

use PushGateway\Gateway;
use PushGateway\GatewayEvents;

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
    public function __construct(private string $handler, private Limits $limits)
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
        $this->kept = $_SESSION = $this->bytes === '' ? null : (GatewayEvents::readSession($this->bytes) ?: null);
        match ($kind) {
            'message' => $this->limited('onMessage', $clientId, $body),
            'handshake' => $this->limited('onWebSocketConnect', $clientId, unserialize($body, ['allowed_classes' => false])),
            default => $this->limited(self::METHODS[$kind], $clientId),
        };
        if ($kind === 'close') {
            $this->sessions->forget($clientId);
        } elseif ($_SESSION !== $this->kept) {
            $this->keep($_SESSION);
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

    private function limited(string $method, mixed ...$arguments): void
    {
        $this->limits->begin();
        $this->call($method, ...$arguments);
        $this->limits->end();
    }

    /** An exception ends the event, and nothing else. */
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
     * The program has changed it by the client's name, not by $_SESSION.
     *
     * @param array<mixed> $session
     */
    private function sessionHasChanged(bool $isWhole, array $session): void
    {
        $this->kept = $_SESSION = $isWhole ? $session : array_replace_recursive((array) $_SESSION, $session);
        $this->written(GatewayEvents::writeSession($_SESSION));
    }

    /** @param mixed $session the program may have put anything there */
    private function keep(mixed $session): void
    {
        try {
            if ($session !== null && !is_array($session)) {
                throw new \UnexpectedValueException('$_SESSION must be an array, not ' . get_debug_type($session));
            }
            $now = $session === null ? '' : GatewayEvents::writeSession($session);
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
