<?php

namespace PushGateway\Worker;

/** A child process that says when it is ready. */
final class Process
{
    private bool $isReady = false;

    /** @param resource $news */
    private function __construct(public readonly int $pid, public readonly float $since, private $news)
    {
    }

    /** @param \Closure(\Closure(): void): int $body gets what it is to call once it is ready, and gives the exit code */
    public static function start(\Closure $body): self
    {
        $pair = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
        $pid = $pair === false ? -1 : pcntl_fork();
        if ($pid < 0) {
            throw new \RuntimeException('cannot start a process: ' . pcntl_strerror(pcntl_get_last_error()));
        }
        if ($pid === 0) {
            fclose($pair[0]);
            $master = posix_getppid();
            exit($body(static function () use ($pair, $master): void {
                fwrite($pair[1], '.');
                posix_kill($master, SIGUSR2);
            }));
        }
        fclose($pair[1]);
        stream_set_blocking($pair[0], false);
        return new self($pid, microtime(true), $pair[0]);
    }

    public function isReady(): bool
    {
        return $this->isReady = $this->isReady || fread($this->news, 1) === '.';
    }

    public function signal(int $signal): void
    {
        posix_kill($this->pid, $signal);
    }
}
