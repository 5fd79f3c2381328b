<?php
// Workerman's AsyncTcpConnection: sends back what comes until "bye", pings, closes.

use Workerman\Connection\AsyncTcpConnection;
use Workerman\Protocols\Ws;
use Workerman\Worker;

spl_autoload_register(function (string $class): void {
    foreach (['Workerman\\Coroutine' => 'WORKERMAN_COROUTINE_PATH', 'Workerman' => 'WORKERMAN_PATH'] as $prefix => $variable) {
        $path = getenv($variable) . '/src' . str_replace('\\', '/', substr($class, strlen($prefix))) . '.php';
        if (str_starts_with($class, "$prefix\\") && is_file($path)) {
            require $path;
            return;
        }
    }
});

[, $url, $folder] = $argv;
$argv = [$argv[0], 'start', '-q'];
Worker::$pidFile = "$folder/pid";
Worker::$logFile = "$folder/log";
$worker = new Worker();
$worker->onWorkerStart = function () use ($url, $folder): void {
    $connection = new AsyncTcpConnection($url);
    $connection->onMessage = function (AsyncTcpConnection $connection, string $data): void {
        if ($data !== 'bye') {
            $connection->send($data);
            return;
        }
        $connection->websocketType = "\x89";
        $connection->send('are you there');
    };
    $connection->onWebSocketPong = fn (AsyncTcpConnection $connection) => $connection->send("\x88\x82\0\0\0\0\x03\xe8", true);
    $connection->onWebSocketClose = function (AsyncTcpConnection $connection): void {
        $connection->close();
    };
    $connection->onClose = function (): void {
        echo "closed 1000\n";
        posix_kill(posix_getppid(), SIGINT);
    };
    $connection->connect();
};
Worker::runAll();
