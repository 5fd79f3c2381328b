<?php

declare(strict_types=1);

namespace PushGateway\Worker;

/**
 * Who is at it, and who comes after that.
 *
 * @template T of object
 */
final class Turns
{
    /** @var list<T> the first is at it */
    private array $line = [];

    /** @return T|null */
    public function current(): ?object
    {
        return $this->line[0] ?? null;
    }

    /**
     * They are next, before those that wait already. Who is at it may have another turn.
     *
     * @param list<T> $next
     */
    public function give(array $next): void
    {
        $waiting = array_filter(array_slice($this->line, 1), fn (object $one) => !in_array($one, $next, true));
        $this->line = [...array_slice($this->line, 0, 1), ...$next, ...$waiting];
    }

    /** @return T|null who is at it now */
    public function end(): ?object
    {
        array_shift($this->line);
        return $this->current();
    }
}
