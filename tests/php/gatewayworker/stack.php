<?php
// GatewayWorker's kinds of process, all of them or some, so that each can be stopped and started alone.
//
//   php stack.php start
//
// In the environment: ROLES, some of register,gateway,worker; REGISTER, host:port; STACK_DATA, a folder; SECRET; for a gateway
// PROTOCOL, what it speaks, LISTEN, host:port, and INTERNAL, its first port; for workers EVENTS, the file of their handler's class, and WORKERS.

use GatewayWorker\BusinessWorker;
use GatewayWorker\Gateway;
use GatewayWorker\Register;
use Workerman\Worker;

require __DIR__ . '/autoload.php';

$directory = getenv('STACK_DATA');
Worker::$pidFile = "$directory/pid";
Worker::$statusFile = "$directory/status";
Worker::$logFile = "$directory/log";

foreach (explode(',', getenv('ROLES')) as $role) {
    switch ($role) {
        case 'register':
            $process = new Register('text://' . getenv('REGISTER'));
            break;
        case 'gateway':
            $process = new Gateway(getenv('PROTOCOL') . '://' . getenv('LISTEN'));
            $process->lanIp = '127.0.0.1';
            $process->startPort = (int) getenv('INTERNAL');
            $process->registerAddress = getenv('REGISTER');
            break;
        case 'worker':
            require getenv('EVENTS');
            $process = new BusinessWorker();
            $process->count = (int) getenv('WORKERS');
            $process->registerAddress = getenv('REGISTER');
            $process->eventHandler = basename(getenv('EVENTS'), '.php');
            break;
    }
    $process->name = $role;
    $process->secretKey = (string) getenv('SECRET');
}

Worker::runAll();
