<?php

declare(strict_types=1);

namespace PushGateway\Worker;

/** The master's handle of a process that it has forked. The child reports to the master, a line each time. */
final class ChildProcess
{
    /** A worker reports this once it has reached a limit and another process should take its place. */
    public const RETIRES = 'retires';

    /** The bytes read behind the last whole line. */
    private string $partial = '';
    private ?string $lastReport = null;
    private bool $isRetiring = false;
    /** When the last report came, in nanoseconds of the monotonic clock. */
    private int $reportedAt;

    /** @param resource $reports the master's end of the socket pair */
    private function __construct(public readonly int $pid, public readonly float $since, private $reports)
    {
        $this->reportedAt = hrtime(true);
    }

    /** @param \Closure(\Closure(string): void): int $body runs in the child, is given what sends a report, and returns the exit code */
    public static function start(\Closure $body): self
    {
        $pair = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
        if ($pair === false) {
            throw new \RuntimeException('cannot start a process: there is no pair of sockets for it');
        }
        [$masterEnd, $childEnd] = $pair;
        $pid = pcntl_fork();
        if ($pid < 0) {
            throw new \RuntimeException('cannot start a process: ' . pcntl_strerror(pcntl_get_last_error()));
        }
        if ($pid === 0) {
            fclose($masterEnd);
            $master = posix_getppid();
            exit($body(static function (string $report) use ($childEnd, $master): void {
                fwrite($childEnd, "$report\n");
                posix_kill($master, SIGUSR2);
            }));
        }
        fclose($childEnd);
        stream_set_blocking($masterEnd, false);
        return new self($pid, microtime(true), $masterEnd);
    }

    public function lastReport(): ?string
    {
        while (($bytes = (string) fread($this->reports, 65536)) !== '') {
            $this->partial .= $bytes;
        }
        $end = strrpos($this->partial, "\n");
        if ($end !== false) {
            $lines = explode("\n", substr($this->partial, 0, $end));
            $this->lastReport = end($lines);
            $this->isRetiring = $this->isRetiring || in_array(self::RETIRES, $lines, true);
            $this->reportedAt = hrtime(true);
            $this->partial = substr($this->partial, $end + 1);
        }
        return $this->lastReport;
    }

    public function isReady(): bool
    {
        return ($this->lastReport ?? $this->lastReport()) !== null;
    }

    public function isRetiring(): bool
    {
        $this->lastReport();
        return $this->isRetiring;
    }

    public function secondsSinceReport(): float
    {
        $this->lastReport();
        return (hrtime(true) - $this->reportedAt) / 1e9;
    }

    public function signal(int $signal): void
    {
        posix_kill($this->pid, $signal);
    }
}
