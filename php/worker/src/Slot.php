<?php

declare(strict_types=1);

namespace PushGateway\Worker;

/**
 * One worker of the --count=… wanted: the process that serves as it, and during a replacement the processes before and after.
 *
 * @phpstan-type State array{number: int, pid: ?int, state: string, since: ?int, restarts: int, register: ?string}
 */
final class Slot
{
    /** The longest pause before a process that keeps ending is started again. */
    private const MAX_PAUSE_SECONDS = 10.0;
    /** After so long a life the pauses begin anew. */
    private const STABLE_SECONDS = 5.0;
    /** How long a process may report nothing beyond --handler-timeout, within which it should have ended by itself. */
    private const GRACE_SECONDS = 3.0;

    private ?ChildProcess $serving = null;
    /** The process that takes over once it has joined. */
    private ?ChildProcess $next = null;
    /** The process before it, which handles the events that it has and then ends. */
    private ?ChildProcess $leaving = null;
    private ?float $killAt = null;
    private float $startAt = 0.0;
    private int $failures = 0;
    private int $restarts = 0;
    private bool $isDraining = false;
    /** The register address that the newest process joins; null stands for the address in php.ini. */
    private ?string $register = null;

    public function __construct(
        private int $number,
        private Options $options,
        private ClusterNodes $nodes,
        private PidFile $pidFile,
    ) {
    }

    public function update(bool $isStopping): void
    {
        $now = microtime(true);
        if ($this->next?->isReady()) {
            // The new process has joined by now, so clients are never without a worker.
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
            $this->killIfStuck($this->serving);
        }
        if (!$isStopping && $this->serving?->isRetiring() && $this->isReplaced() && $now >= $this->startAt) {
            Log::write("worker $this->number: process {$this->serving->pid} is replaced (--max-events, --max-memory)");
            $this->next = $this->fork();
        }
        if (!$isStopping && $this->serving === null && $this->next === null && $now >= $this->startAt) {
            $this->serving = $this->fork();
        }
    }

    /** While a handler waits for a system call PHP runs no signal handler, so the process cannot end itself. */
    private function killIfStuck(ChildProcess $process): void
    {
        if ($process->secondsSinceReport() > $this->options->handlerTimeout + self::GRACE_SECONDS) {
            Log::write("worker $this->number: kills $process->pid, whose handler does not come back (--handler-timeout)");
            $process->signal(SIGKILL);
        }
    }

    public function reload(): void
    {
        if ($this->serving !== null && $this->next === null) {
            $this->next = $this->fork();
        }
    }

    /** Starts the next process again if it was to join another node, since it may be waiting for a node that has gone. */
    public function redirect(): void
    {
        if ($this->next !== null && $this->register !== $this->nodes->addressOf($this->number)) {
            $this->next->signal(SIGTERM);
            $this->next = $this->fork();
        }
    }

    public function isReplaced(): bool
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
            $this->startAt = microtime(true) + self::STABLE_SECONDS;
            Log::write("worker $this->number: the new process $pid ended $how before it served; the old one stays");
        } elseif ($pid === $this->serving?->pid) {
            $since = $this->serving->since;
            $this->serving = null;
            if ($this->isDraining) {
                return;
            }
            $this->failures = microtime(true) - $since >= self::STABLE_SECONDS ? 0 : $this->failures + 1;
            $pause = $this->failures === 0 ? 0.0 : min(self::MAX_PAUSE_SECONDS, 0.05 * 2 ** min($this->failures, 16));
            $this->startAt = microtime(true) + $pause;
            $this->restarts++;
            Log::write(sprintf('worker %d: process %d ended %s; the next one in %.1f s', $this->number, $pid, $how, $pause));
        }
    }

    public function hasProcess(): bool
    {
        return $this->serving !== null || $this->next !== null || $this->leaving !== null;
    }

    /** When update() is to be called again, if nothing happens before. */
    public function dueAt(): ?float
    {
        $isEmpty = $this->serving === null && $this->next === null;
        $checkAt = $this->options->handlerTimeout === null || $isEmpty ? null : microtime(true) + self::GRACE_SECONDS;
        $due = array_filter([$this->killAt, $checkAt, $isEmpty && !$this->isDraining ? $this->startAt : null]);
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
                !$this->isReplaced() => 'reloading',
                $this->serving->isReady() => 'serving',
                default => 'starting',
            },
            'since' => $this->serving === null ? null : (int) $this->serving->since,
            'restarts' => $this->restarts,
            'register' => $this->register,
        ];
    }

    private function fork(): ChildProcess
    {
        $this->register = $this->nodes->addressOf($this->number);
        return ChildProcess::start(function (\Closure $report): int {
            $this->pidFile->closeInChild();
            return (new WorkerProcess($this->number, $this->options, $this->register, $report))->run();
        });
    }
}
