<?php

declare(strict_types=1);

namespace PushGateway\Worker;

/**
 * The first process, which keeps the worker processes going. It never loads the program's code: a process that it forks then has
 * the code as it is at that moment, and nothing in the code can end the master.
 */
final class Master
{
    private const SIGNALS = [SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGCHLD];

    /** @var list<Slot> */
    private array $slots = [];
    /** @var ReplaceQueue<Slot> */
    private ReplaceQueue $replacements;
    private ?float $killAt = null;
    private bool $isStopping = false;
    private ClusterNodes $nodes;

    public function __construct(private Options $options, private PidFile $pidFile)
    {
        $this->nodes = new ClusterNodes($options, $pidFile);
        $this->replacements = new ReplaceQueue();
    }

    public function run(): int
    {
        $this->pidFile->acquire();
        // Blocked signals wait until wait() asks for them, so that none comes in between.
        pcntl_sigprocmask(SIG_BLOCK, self::SIGNALS);
        for ($number = 0; $number < $this->options->count; $number++) {
            $this->slots[] = new Slot($number, $this->options, $this->nodes, $this->pidFile);
        }
        $workers = $this->options->count === 1 ? '1 worker' : "{$this->options->count} workers";
        Log::write("starts $workers for {$this->options->file}");
        while (!$this->isStopping || $this->hasProcesses()) {
            $this->update();
            $this->pidFile->write(array_map(fn (Slot $slot) => $slot->describe(), $this->slots));
            $this->wait();
        }
        $this->pidFile->remove();
        Log::write('has stopped');
        return 0;
    }

    /** Starts and ends processes that are due, and goes on with replacements. */
    private function update(): void
    {
        foreach ($this->slots as $slot) {
            $slot->update($this->isStopping);
        }
        if ($this->isStopping) {
            if ($this->killAt !== null && microtime(true) >= $this->killAt) {
                Log::write("kills what has not ended within {$this->options->stopTimeout} s (--stop-timeout)");
                $this->each(fn (Slot $slot) => $slot->kill());
                $this->killAt = null;
            }
            return;
        }
        $moved = array_map(fn (int $number) => $this->slots[$number], $this->nodes->update());
        array_map(fn (Slot $slot) => $slot->redirect(), $moved);
        $this->replace($moved);
        while ($this->replacements->current()?->isReplaced()) {
            $next = $this->replacements->finishCurrent();
            if ($next === null) {
                Log::write('has reloaded');
            }
            $next?->reload();
        }
    }

    private function wait(): void
    {
        $due = array_map(fn (Slot $slot) => $slot->dueAt(), $this->slots);
        $updateAt = $this->isStopping ? null : $this->nodes->dueAt();
        $due = array_filter([$this->killAt, $updateAt, ...$due], fn ($time) => $time !== null);
        $seconds = $due === [] ? 3600.0 : max(0.0, min($due) - microtime(true));
        $signal = @pcntl_sigtimedwait(
            self::SIGNALS,
            $info,
            (int) $seconds,
            (int) (($seconds - (int) $seconds) * 1e9)
        );
        switch ($signal) {
            case SIGTERM:
            case SIGINT:
                $this->stop();
                break;
            case SIGUSR1:
                $this->reload();
                break;
            case SIGCHLD:
                while (($pid = pcntl_waitpid(-1, $status, WNOHANG)) > 0) {
                    /** @var int $status */
                    $this->each(fn (Slot $slot) => $slot->ended($pid, $status));
                    $this->nodes->ended($pid);
                }
                break;
            default:
                // SIGUSR2 means that a child has reported something, which update() reads.
        }
    }

    private function stop(): void
    {
        if ($this->isStopping) {
            return;
        }
        Log::write('stops: every worker handles what it has');
        $this->isStopping = true;
        $this->killAt = microtime(true) + $this->options->stopTimeout;
        $this->each(fn (Slot $slot) => $slot->drain());
        $this->nodes->stop();
    }

    private function reload(): void
    {
        if ($this->isStopping) {
            return;
        }
        Log::write('reloads, one worker after the other');
        $this->replace($this->slots);
    }

    /** @param list<Slot> $slots */
    private function replace(array $slots): void
    {
        $isIdle = $this->replacements->current() === null;
        $this->replacements->prioritize($slots);
        if ($isIdle) {
            $this->replacements->current()?->reload();
        }
    }

    private function hasProcesses(): bool
    {
        return array_filter($this->slots, fn (Slot $slot) => $slot->hasProcess()) !== [];
    }

    /** @param callable(Slot): void $do */
    private function each(callable $do): void
    {
        array_map($do, $this->slots);
    }
}
