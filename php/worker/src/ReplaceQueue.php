<?php

declare(strict_types=1);

namespace PushGateway\Worker;

/**
 * The workers whose processes are to be replaced, one after the other: the first in the queue is being replaced.
 *
 * @template T of object
 */
final class ReplaceQueue
{
    /** @var list<T> */
    private array $queue = [];

    /** @return T|null what is being replaced now */
    public function current(): ?object
    {
        return $this->queue[0] ?? null;
    }

    /**
     * Puts these before the others that wait, each once. The current one may be among them: it is then replaced once more.
     *
     * @param list<T> $next
     */
    public function prioritize(array $next): void
    {
        $waiting = array_filter(array_slice($this->queue, 1), fn (object $one) => !in_array($one, $next, true));
        $this->queue = [...array_slice($this->queue, 0, 1), ...$next, ...$waiting];
    }

    /**
     * Removes the current one, whose replacement is over.
     *
     * @return T|null what is to be replaced next
     */
    public function finishCurrent(): ?object
    {
        array_shift($this->queue);
        return $this->current();
    }
}
