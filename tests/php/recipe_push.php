<?php
// Uses the service of a recipe as an application would: php recipe_push.php FILE CLASS HOST:PORT KEY token|push|down

[, $file, $class, $register, $key, $what] = $argv;
require $file;
$push = new $class($register, $key);

if ($what === 'token') {
    echo $push->token(7, ['news']);
    exit;
}
ini_set('error_log', '/dev/stdout');
echo json_encode([
    'online' => [$push->isOnline(7), $push->isOnline(8)],
    'user' => $push->toUser([7, 8], 'comment', ['text' => 'hello']),
    'group' => $push->toGroup('news', 'headline'),
]), "\n";
// Nobody listens there.
Gateway::$registerAddress = '127.0.0.1:1';
echo json_encode($push->toUser(7, 'lost')), "\n";
