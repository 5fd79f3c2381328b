<?php

declare(strict_types=1);

namespace PushGateway\Worker;

/**
 * One of the places for a worker: the process in it, and during a reload the one before it and the one after it.
 *
 * @phpstan-type State array{number: int, pid: ?int, state: string, since: ?int, restarts: int, register: ?string}
 */
final class Slot
{
    private const LONGEST_PAUSE = 10.0;
    /** A process that lived so many seconds was a good one. */
    private const GOOD = 5.0;

    /** Seconds that a process has beyond the handlers' time to end by itself. */
    private const GRACE = 3.0;

    private ?Process $serving = null;
    /** Is to take over once it serves. */
    private ?Process $next = null;
    /** Handles what it has, and goes. */
    private ?Process $leaving = null;
    private ?float $killAt = null;
    private float $startAt = 0.0;
    private int $failures = 0;
    private int $restarts = 0;
    private bool $isDraining = false;
    /** Where the newest process joins. */
    private ?string $joins = null;

    public function __construct(
        private int $number,
        private Options $options,
        private Nodes $nodes,
        private PidFile $pidFile,
    ) {
    }

    public function look(bool $isStopping): void
    {
        $now = microtime(true);
        if ($this->next?->isReady()) {
            // The new one has joined already: there is always somebody for the clients.
            $this->leaving = $this->serving;
            $this->leaving?->signal(SIGTERM);
            $this->killAt = $now + $this->options->stopTimeout;
            [$this->serving, $this->next] = [$this->next, null];
        }
        if ($this->leaving !== null && $this->killAt !== null && $now >= $this->killAt) {
            Log::write("kills {$this->leaving->pid}, which has not ended within {$this->options->stopTimeout} s");
            $this->leaving->signal(SIGKILL);
            $this->killAt = null;
        }
        if (!$isStopping && $this->serving?->isReady() && $this->options->handlerTimeout !== null) {
            $this->watch($this->serving);
        }
        if (!$isStopping && $this->serving?->isSpent() && $this->isReloaded() && $now >= $this->startAt) {
            Log::write("worker $this->number: process {$this->serving->pid} is replaced (--max-events, --max-memory)");
            $this->next = $this->fork();
        }
        if (!$isStopping && $this->serving === null && $this->next === null && $now >= $this->startAt) {
            $this->serving = $this->fork();
        }
    }

    /** Where a handler waits for the system, PHP runs no code that would end it. */
    private function watch(Process $process): void
    {
        if ($process->silence() > $this->longestSilence()) {
            Log::write("worker $this->number: kills $process->pid, whose handler does not come back (--handler-timeout)");
            $process->signal(SIGKILL);
        }
    }

    private function longestSilence(): float
    {
        return $this->options->handlerTimeout + self::GRACE;
    }

    public function reload(): void
    {
        if ($this->serving !== null && $this->next === null) {
            $this->next = $this->fork();
        }
    }

    /** A process that has not joined yet may be waiting for a node that is not there any more. */
    public function redirect(): void
    {
        if ($this->next !== null && $this->joins !== $this->nodes->of($this->number)) {
            $this->next->signal(SIGTERM);
            $this->next = $this->fork();
        }
    }

    public function isReloaded(): bool
    {
        return $this->next === null && $this->leaving === null;
    }

    public function drain(): void
    {
        $this->isDraining = true;
        foreach ([$this->serving, $this->next] as $process) {
            $process?->signal(SIGTERM);
        }
    }

    public function kill(): void
    {
        foreach ([$this->serving, $this->next, $this->leaving] as $process) {
            $process?->signal(SIGKILL);
        }
    }

    public function ended(int $pid, int $status): void
    {
        $how = pcntl_wifsignaled($status)
            ? 'by signal ' . pcntl_wtermsig($status)
            : 'with code ' . pcntl_wexitstatus($status);
        if ($pid === $this->leaving?->pid) {
            $this->leaving = $this->killAt = null;
        } elseif ($pid === $this->next?->pid) {
            $this->next = null;
            $this->startAt = microtime(true) + self::GOOD;
            Log::write("worker $this->number: the new process $pid ended $how before it served; the old one stays");
        } elseif ($pid === $this->serving?->pid) {
            $since = $this->serving->since;
            $this->serving = null;
            if ($this->isDraining) {
                return;
            }
            $this->failures = microtime(true) - $since >= self::GOOD ? 0 : $this->failures + 1;
            $pause = $this->failures === 0 ? 0.0 : min(self::LONGEST_PAUSE, 0.05 * 2 ** min($this->failures, 16));
            $this->startAt = microtime(true) + $pause;
            $this->restarts++;
            Log::write(sprintf('worker %d: process %d ended %s; the next one in %.1f s', $this->number, $pid, $how, $pause));
        }
    }

    public function hasProcess(): bool
    {
        return $this->serving !== null || $this->next !== null || $this->leaving !== null;
    }

    /** When it wants to be looked at again, if nothing happens before. */
    public function dueAt(): ?float
    {
        $isEmpty = $this->serving === null && $this->next === null;
        $watchAt = $this->options->handlerTimeout === null || $isEmpty ? null : microtime(true) + self::GRACE;
        $due = array_filter([$this->killAt, $watchAt, $isEmpty && !$this->isDraining ? $this->startAt : null]);
        return $due === [] ? null : min($due);
    }

    /** @return State */
    public function describe(): array
    {
        return [
            'number' => $this->number,
            'pid' => $this->serving?->pid,
            'state' => match (true) {
                $this->serving === null => 'waiting',
                !$this->isReloaded() => 'reloading',
                $this->serving->isReady() => 'serving',
                default => 'starting',
            },
            'since' => $this->serving === null ? null : (int) $this->serving->since,
            'restarts' => $this->restarts,
            'register' => $this->joins,
        ];
    }

    private function fork(): Process
    {
        $this->joins = $this->nodes->of($this->number);
        return Process::start(function (\Closure $tell): int {
            $this->pidFile->forget();
            return (new Child($this->number, $this->options, $this->joins, $tell))->run();
        });
    }
}
