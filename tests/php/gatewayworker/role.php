<?php
// One of the original stack's kinds of process, so that each can be stopped and started alone.
//
//   php role.php start    with ROLE (register, gateway or worker), REGISTER and SECRET in the environment, and for a
//                         gateway WEBSOCKET and INTERNAL: host:port and a port

use GatewayWorker\BusinessWorker;
use GatewayWorker\Gateway;
use GatewayWorker\Register;
use Workerman\Worker;

require __DIR__ . '/autoload.php';
require __DIR__ . '/Events.php';

$directory = getenv('STACK_DATA');
Worker::$pidFile = "$directory/pid";
Worker::$statusFile = "$directory/status";
Worker::$logFile = "$directory/log";

switch (getenv('ROLE')) {
    case 'register':
        $process = new Register('text://' . getenv('REGISTER'));
        break;
    case 'gateway':
        $process = new Gateway('websocket://' . getenv('WEBSOCKET'));
        $process->lanIp = '127.0.0.1';
        $process->startPort = (int) getenv('INTERNAL');
        $process->registerAddress = getenv('REGISTER');
        break;
    case 'worker':
        $process = new BusinessWorker();
        $process->registerAddress = getenv('REGISTER');
        $process->eventHandler = Events::class;
        break;
}
$process->name = getenv('ROLE');
$process->count = 1;
$process->secretKey = getenv('SECRET');

Worker::runAll();
