<?php

declare(strict_types=1);

namespace PushGateway\Worker;

/**
 * The session values that this process has written lately. An event brings its client's session as it was when the client did
 * something. That may be before this process handled an earlier event of the client and changed the session.
 */
final class SessionHistory
{
    /** Beyond so many bytes the clients whose sessions were written first are forgotten. */
    private const MAX_BYTES = 16 << 20;

    /** @var array<string, list<string>> the values that an event may still bring, by client_id, the newest last */
    private array $values = [];
    private int $bytes = 0;

    /** The session as it is now, given what an event has brought. */
    public function latest(string $clientId, string $arrived): string
    {
        $values = $this->values[$clientId] ?? null;
        if ($values === null) {
            return $arrived;
        }
        $at = array_search($arrived, $values, true);
        $last = count($values) - 1;
        if ($at === false || $at === $last) {
            // The event brings the newest value of this process, or one that another process has written since.
            $this->forget($clientId);
            return $arrived;
        }
        foreach (array_slice($values, 0, $at) as $old) {
            $this->bytes -= strlen($old);
        }
        $this->values[$clientId] = array_slice($values, $at);
        return $values[$last];
    }

    public function add(string $clientId, string $before, string $now): void
    {
        if (!isset($this->values[$clientId])) {
            $this->values[$clientId] = [$before];
            $this->bytes += strlen($before);
        }
        $this->values[$clientId][] = $now;
        $this->bytes += strlen($now);
        while ($this->bytes > self::MAX_BYTES && ($oldest = array_key_first($this->values)) !== null) {
            $this->forget((string) $oldest);
        }
    }

    public function forget(string $clientId): void
    {
        foreach ($this->values[$clientId] ?? [] as $value) {
            $this->bytes -= strlen($value);
        }
        unset($this->values[$clientId]);
    }
}
