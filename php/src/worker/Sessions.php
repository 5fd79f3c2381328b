<?php

declare(strict_types=1);

namespace PushGateway\Worker;

/**
 * What this process has written to sessions. An event brings its client's session as it was when the client did
 * something, which may be before an earlier event was handled here and changed it.
 */
final class Sessions
{
    private const MOST_BYTES = 16 << 20;

    /** @var array<string, list<string>> of each client the values that may still arrive, the newest last */
    private array $values = [];
    private int $bytes = 0;

    /** The session as it is now, when it has arrived like this. */
    public function latest(string $clientId, string $arrived): string
    {
        $values = $this->values[$clientId] ?? null;
        if ($values === null) {
            return $arrived;
        }
        $at = array_search($arrived, $values, true);
        $last = count($values) - 1;
        if ($at === false || $at === $last) {
            // It has caught up, or somebody else has written it.
            $this->forget($clientId);
            return $arrived;
        }
        foreach (array_slice($values, 0, $at) as $old) {
            $this->bytes -= strlen($old);
        }
        $this->values[$clientId] = array_slice($values, $at);
        return $values[$last];
    }

    public function written(string $clientId, string $before, string $now): void
    {
        if (!isset($this->values[$clientId])) {
            $this->values[$clientId] = [$before];
            $this->bytes += strlen($before);
        }
        $this->values[$clientId][] = $now;
        $this->bytes += strlen($now);
        while ($this->bytes > self::MOST_BYTES && ($oldest = array_key_first($this->values)) !== null) {
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
