<?php

declare(strict_types=1);

namespace PushGateway\Worker;

/**
 * The file in which the master writes its pid and the state of its workers. The master holds a lock on it as long as it lives.
 *
 * @phpstan-import-type State from Slot
 */
final class PidFile
{
    /** @var resource|null */
    private $locked = null;

    public function __construct(private string $path)
    {
    }

    /** The default path, in a folder in which no other user can create files. */
    public static function usualPath(): string
    {
        $folder = getenv('XDG_RUNTIME_DIR') ?: (posix_geteuid() === 0 ? '/run' : '');
        if ($folder === '' || !self::isOwnFolder($folder)) {
            $folder = sys_get_temp_dir() . '/gateway-worker-' . posix_geteuid();
            @mkdir($folder, 0700);
            if (!self::isOwnFolder($folder)) {
                throw new UsageError("$folder is not a folder of this user alone: remove it, or give a --pid-file");
            }
        }
        return "$folder/gateway-worker.pid";
    }

    public function acquire(): void
    {
        // Neither a symbolic link nor another user's file is opened for writing.
        $isThere = $this->lstat() !== null;
        $umask = umask(0077);
        $file = @fopen($this->path, $isThere ? 'r+' : 'x+');
        umask($umask);
        if ($file === false) {
            throw new UsageError("cannot write {$this->path} (--pid-file)");
        }
        if ($this->owner($file) !== posix_geteuid()) {
            throw new UsageError("{$this->path} belongs to another user; give a --pid-file where only this user can write");
        }
        // Every user who can open the file could lock it.
        @chmod($this->path, 0600);
        if (!flock($file, LOCK_EX | LOCK_NB)) {
            throw new UsageError("another gateway-worker has {$this->path}; give this one its own --pid-file");
        }
        $this->locked = $file;
    }

    /** @param list<State> $workers */
    public function write(array $workers): void
    {
        $pid = (int) getmypid();
        $text = json_encode(['pid' => $pid, 'start' => self::startTicks($pid), 'workers' => $workers], JSON_THROW_ON_ERROR);
        $file = $this->locked();
        // The text is padded to the old one's length, and the padding is cut off afterwards: a reader always sees a whole text.
        rewind($file);
        fwrite($file, str_pad($text, fstat($file)['size'] ?? 0) . "\n");
        ftruncate($file, strlen($text));
        fflush($file);
    }

    public function remove(): void
    {
        @unlink($this->path);
    }

    /** A forked child closes the file, since the lock is the master's. */
    public function closeInChild(): void
    {
        fclose($this->locked());
        $this->locked = null;
    }

    public function signal(int $signal): int
    {
        ['pid' => $pid, 'start' => $start, 'owner' => $owner] = $this->read();
        // The file may be old, and another process may have the pid by now.
        clearstatcache();
        if ($pid < 2 || self::startTicks($pid) !== $start || (is_dir("/proc/$pid") && @fileowner("/proc/$pid") !== $owner)) {
            throw new UsageError("process $pid is not the gateway-worker that wrote {$this->path}: nobody was signalled");
        }
        if (!posix_kill($pid, $signal)) {
            throw new UsageError("cannot signal process $pid: " . posix_strerror(posix_get_last_error()));
        }
        return 0;
    }

    public function status(): string
    {
        ['pid' => $pid, 'workers' => $workers] = $this->read();
        $lines = ["gateway-worker, process $pid, with " . count($workers) . ' workers'];
        $row = '%-8s %8s %-9s %9s %9s %10s  %s';
        $lines[] = sprintf($row, 'worker', 'pid', 'state', 'seconds', 'restarts', 'memory KiB', 'register');
        foreach ($workers as $worker) {
            $seconds = $worker['since'] === null ? '-' : (string) (time() - $worker['since']);
            $memory = self::memory($worker['pid']);
            $lines[] = sprintf(
                $row,
                $worker['number'],
                $worker['pid'] ?? '-',
                $worker['state'],
                $seconds,
                $worker['restarts'],
                $memory,
                $worker['register'] ?? 'of php.ini'
            );
        }
        return implode("\n", $lines) . "\n";
    }

    /** @return resource */
    private function locked()
    {
        return $this->locked ?? throw new \LogicException("{$this->path} is not taken");
    }

    /**
     * What is at the path, or null when nothing is. Only a regular file is believed.
     *
     * @return array<string|int, int>|null
     */
    private function lstat(): ?array
    {
        clearstatcache();
        $stat = @lstat($this->path);
        if ($stat === false) {
            return null;
        }
        if (($stat['mode'] & 0170000) !== 0100000) {
            throw new UsageError("{$this->path} is no regular file (--pid-file)");
        }
        return $stat;
    }

    /**
     * The owner of the opened file, which must still be the file at the path.
     *
     * @param resource $file
     */
    private function owner($file): int
    {
        [$now, $opened] = [$this->lstat(), fstat($file)];
        if ($now === null || $opened === false || [$now['dev'], $now['ino']] !== [$opened['dev'], $opened['ino']]) {
            throw new UsageError("{$this->path} was replaced while it was opened; try again");
        }
        return $opened['uid'];
    }

    private static function isOwnFolder(string $folder): bool
    {
        clearstatcache();
        $stat = @lstat($folder);
        return $stat !== false && ($stat['mode'] & 0170000) === 0040000
            && $stat['uid'] === posix_geteuid() && ($stat['mode'] & 0022) === 0;
    }

    /** When a process was started, in clock ticks since boot; null where /proc does not say. */
    private static function startTicks(int $pid): ?int
    {
        $stat = @file_get_contents("/proc/$pid/stat");
        // The process's name, which may contain spaces, is in parentheses; the start time is the 20th word behind it.
        $words = $stat === false ? [] : explode(' ', substr($stat, (int) strrpos($stat, ')') + 2));
        return isset($words[19]) ? (int) $words[19] : null;
    }

    /** @return array{pid: int, start: int|null, owner: int, workers: list<State>} */
    private function read(): array
    {
        $file = $this->lstat() === null ? false : @fopen($this->path, 'r');
        // If the file can be locked, no master holds it.
        if ($file === false || flock($file, LOCK_SH | LOCK_NB)) {
            throw new UsageError("no gateway-worker runs with {$this->path} (--pid-file)");
        }
        $owner = $this->owner($file);
        // Root may stop another user's workers; signal() makes sure that the process belongs to that user.
        if ($owner !== posix_geteuid() && posix_geteuid() !== 0) {
            throw new UsageError("{$this->path} belongs to another user");
        }
        $state = json_decode((string) stream_get_contents($file), true);
        if (!is_array($state) || !is_int($state['pid'] ?? null) || !isset($state['workers'])) {
            throw new UsageError("{$this->path} is of no gateway-worker, or not ready yet");
        }
        /** @var array{pid: int, start: int|null, owner: int, workers: list<State>} $state as write() has written it */
        $state = ['owner' => $owner, 'start' => $state['start'] ?? null] + $state;
        return $state;
    }

    private static function memory(?int $pid): string
    {
        $status = $pid === null ? false : @file_get_contents("/proc/$pid/status");
        return $status !== false && preg_match('/^VmRSS:\s+(\d+)/m', $status, $found) ? $found[1] : '-';
    }
}
