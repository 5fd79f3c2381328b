<?php
// Finds the classes of GatewayWorker, GatewayClient and Workerman where environment variables say they are.

spl_autoload_register(static function (string $class): void {
    $coroutine = getenv('WORKERMAN_COROUTINE_PATH') . '/src/';
    $workerman = getenv('WORKERMAN_PATH');
    // Workerman 4 has its classes at the root.
    $workerman .= is_dir("$workerman/src") ? '/src/' : '/';
    $places = [
        'GatewayClient\\' => getenv('GATEWAYCLIENT_PATH') . '/',
        'GatewayWorker\\' => getenv('GATEWAYWORKER_PATH') . '/src/',
        'Workerman\\Coroutine\\' => $coroutine,
        'Workerman\\Coroutine' => $coroutine . 'Coroutine',
        'Workerman\\' => $workerman,
    ];
    foreach ($places as $prefix => $place) {
        $file = $place . strtr(substr($class, strlen($prefix)), '\\', '/') . '.php';
        if (str_starts_with($class, $prefix) && is_file($file)) {
            require $file;

            return;
        }
    }
});
