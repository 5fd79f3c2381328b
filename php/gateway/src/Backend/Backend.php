<?php

declare(strict_types=1);

namespace PushGateway\Backend;

use PushGateway\Exception\UnsupportedCall;

/** A way to the gateway, which is called as class Gateway is. */
interface Backend
{
    /** Whether there is a method of this name, or others do the same. */
    public function has(string $method): bool;

    /**
     * @param array<mixed> $arguments in the order of the parameters of class Gateway
     * @return mixed what class Gateway answers
     * @throws UnsupportedCall where it cannot be done this way
     * @throws \Exception when it has failed
     */
    public function call(string $method, array $arguments): mixed;
}
