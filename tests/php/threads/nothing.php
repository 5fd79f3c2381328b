<?php

/**
 * A request that does nothing.
 */

declare(strict_types=1);
